"""The quality of the judge's tools on real data: their choice, its searches, verdicts on claims, and calculations.

python -m benchmarks.retrieval                  packaged models, about eleven minutes on two cores the first time
python -m benchmarks.retrieval --limit 10       fewer claims for the verdicts, all for the searches
python -m benchmarks.retrieval --engine.model my-model --engine.base-url http://localhost:8000/v1
python -m benchmarks.retrieval --nli-model path/to/an/nli-classifier

Searches: every claim with a passage that a person found to support or refute it is looked up among all passages.
recall@k is the share of claims with such a passage among the first k. Verdicts: claims drawn with a seed, equally many
true, false and open ones. Accuracy is weighted back to the mix of the whole set. Calculations: those marked in
solutions drawn with a seed, unchanged and with another result. Intervals are 95 % bootstraps over claims. The data is
not part of the project: Factcheck-Bench in factcheck/ and GSM8K in gsm8k/ of --data.
"""

import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("TQDM_DISABLE", "1")

import numpy as np
import tyro
from numpy.typing import NDArray
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from console.output import tell
from console.progress import progress, say
from console.table import Cell, print_table
from engines.options import EngineOptions, open_engine
from engines.protocol import Engine
from judges.judging.question import load_question
from judges.tools.arithmetic.arithmetic import holds
from judges.tools.arithmetic.equations import equations
from judges.tools.choice import choose_tools
from judges.tools.claims.verifier import Reading
from judges.tools.claims.verify import decide, open_verifier
from judges.tools.options import EvidenceOptions
from judges.tools.search.corpus import Passage
from judges.tools.search.passages import open_passages
from judges.tools.search.search import Search, open_search
from records import Response
from records.files import BadRows, read_records
from records.keys import derived_seed

CORPUS = "factcheck/claim_evidence_stance.jsonl.gz"
CLAIMS = "factcheck/claim_factuality.jsonl"
ANSWERS = "factcheck/factcheck-GPT-benchmark.jsonl.gz"
SOLUTIONS = "gsm8k/test.jsonl.gz"
MARKED = re.compile(r"<<([^<>=]*)=(-?[\d.]+)>>")
SEARCHES = ("bm25", "dense", "hybrid")
DEPTHS = (1, 5, 10)
VERDICTS = {"true": "supported", "false": "refuted", "not_enough_evidence": "not enough"}
STANCES = {
    "completely-support": "supported",
    "partially-support": "supported",
    "refute": "refuted",
    "irrelevant": "not enough",
}
ORDER = ("refuted", "supported", "not enough")
"""The label that wins if a person labelled a claim's passages differently, first one first."""


@dataclass(frozen=True)
class Config:
    """The benchmark's settings."""

    data: Path = Path(os.environ.get("JUDGELOOP_DATA", "../shared/data"))
    limit: int = 20
    """Claims of each label for the verdicts."""
    solutions: int = 200
    """Solutions whose calculations are checked."""
    k: int = 3
    """Passages per claim for the verdicts."""
    seed: int = 0
    resamples: int = 2000
    engine: EngineOptions = field(default_factory=EngineOptions)
    nli_model: str | None = None
    """A classifier that verifies instead of the model."""


@dataclass(frozen=True)
class Gold:
    """A claim with people's labels."""

    claim: str
    verdict: str
    passages: list[tuple[Passage, str]]
    """The claim's own five passages, each with its stance."""


Pairs = dict[tuple[str, str], Reading]


def main(config: Config) -> None:
    started = time.perf_counter()
    arithmetic_table(config)
    gold = read_gold(config.data)
    searches = {name: opened(name, config.data / CORPUS) for name in SEARCHES}
    passages_of = recall_table(gold, searches, config)
    sample = drawn(gold, config)
    engine = open_engine(config.engine)
    tool_table(engine, config)
    shown = {"its own five": {g.claim: [passage for passage, _ in g.passages] for g in sample}} | {
        name: {g.claim: passages_of[name][g.claim][: config.k] for g in sample} for name in SEARCHES
    }
    readings = verified(engine, shown, config)
    verdict_table(gold, sample, shown, readings, config)
    stance_table(sample, readings, config)
    truth_table(engine, gold, sample, shown, readings, searches, config)
    say(f"all in {time.perf_counter() - started:.0f} s")


def arithmetic_table(config: Config) -> None:
    """Print how many marked calculations are found, and how many are called right and wrong."""
    answers = [record["answer"] for _, record in read_records(config.data / SOLUTIONS, BadRows(strict=True))]
    rng = np.random.default_rng(derived_seed(config.seed, "solutions"))
    drawn_answers = [answers[index] for index in rng.permutation(len(answers))[: config.solutions]]
    marked = [match for answer in drawn_answers for match in MARKED.findall(answer)]
    stated = {
        "as they stand": [f"{left}={right}" for left, right in marked],
        "another result": [f"{left}={float(right) + 1:g}" for left, right in marked],
    }
    rows: list[dict[str, Cell]] = []
    for name, texts in stated.items():
        verdicts = [holds(equation)[0] for text in texts for equation in equations(text)]
        rows.append(
            {
                "calculations": name,
                "marked": len(texts),
                "found": len(verdicts),
                "called right": verdicts.count(True),
                "called wrong": verdicts.count(False),
                "left open": verdicts.count(None),
            }
        )
    print_table(rows)
    tell()


def tool_table(engine: Engine, config: Config) -> None:
    """Print which tool the model chooses for answers that state facts and for solutions that calculate."""
    sources = {"facts": (ANSWERS, "prompt", "response"), "calculations": (SOLUTIONS, "question", "answer")}
    rows: list[dict[str, Cell]] = []
    for name, (file, prompt, answer) in sources.items():
        records = [record for _, record in read_records(config.data / file, BadRows(strict=True))]
        rng = np.random.default_rng(derived_seed(config.seed, "tools", name))
        picked = [records[index] for index in rng.permutation(len(records))[: config.limit]]
        responses = [
            Response(id=str(n), prompt_id=str(n), prompt=record[prompt], response=record[answer], model="")
            for n, record in enumerate(picked)
        ]
        chosen = [decision.tool for _, decision in choose_tools(engine, responses, set())]
        rows.append(
            {"answers with": name, "n": len(chosen)}
            | {f"says {tool}": chosen.count(tool) for tool in ("search", "arithmetic", "none")}  # type: ignore[arg-type]
        )
    tell()
    print_table(rows)


def read_gold(data: Path) -> list[Gold]:
    """Return every claim, with its passages under the ids of the corpus."""
    passages = open_passages(data / CORPUS)
    by_text = {passage.text: passage for passage in passages.read(list(range(len(passages))))}
    labelled: dict[str, list[tuple[Passage, str]]] = {}
    for _, record in read_records(data / CORPUS, BadRows(strict=True)):
        passage = by_text[" ".join(record["evidence"].split())]
        labelled.setdefault(record["claim"], []).append((passage, STANCES[record["stance"]]))
    rows = [record for _, record in read_records(data / CLAIMS, BadRows(strict=True))]
    return [Gold(record["claim"], VERDICTS[record["label"]], labelled[record["claim"]]) for record in rows]


def opened(name: str, corpus: Path) -> Search:
    started = time.perf_counter()
    search = open_search(EvidenceOptions(corpus=corpus, search=name))
    say(f"{name}: opened in {time.perf_counter() - started:.1f} s")
    assert search is not None
    return search


def recall_table(gold: list[Gold], searches: dict[str, Search], config: Config) -> dict[str, dict[str, list[Passage]]]:
    """Print how often each search finds a right passage, and return its passages for each claim."""
    decided = [g for g in gold if any(stance != "not enough" for _, stance in g.passages)]
    rows, passages_of = [], {}
    for name, search in searches.items():
        started = time.perf_counter()
        lists = search.search([g.claim for g in gold], max(DEPTHS))
        seconds = time.perf_counter() - started
        passages_of[name] = dict(zip([g.claim for g in gold], lists, strict=True))
        cells: dict[str, Cell] = {"search": name, "claims": len(decided)}
        for depth in DEPTHS:
            hits = np.array([has_right(g, passages_of[name][g.claim][:depth]) for g in decided], dtype=float)
            cells[f"recall@{depth}"] = with_interval(lambda picks, hits=hits: hits[picks].mean(), [len(hits)], config)
        rows.append(cells | {"ms a claim": 1000 * seconds / len(gold)})
    print_table(rows)
    return passages_of


def has_right(gold: Gold, passages: list[Passage]) -> bool:
    right = {passage.id for passage, stance in gold.passages if stance != "not enough"}
    return any(passage.id in right for passage in passages)


def drawn(gold: list[Gold], config: Config) -> list[Gold]:
    """Return `limit` claims of each label, label by label."""
    rng = np.random.default_rng(derived_seed(config.seed, "claims"))
    sample: list[Gold] = []
    for verdict in VERDICTS.values():
        with_verdict = [g for g in gold if g.verdict == verdict]
        sample += [with_verdict[index] for index in rng.permutation(len(with_verdict))[: config.limit]]
    return sample


def verified(engine: Engine, shown: dict[str, dict[str, list[Passage]]], config: Config) -> Pairs:
    """Return the reading of every claim with every passage that any setting shows for it, asking each once."""
    options = EvidenceOptions(verifier="nli" if config.nli_model else "judge", nli_model=config.nli_model)
    verifier = open_verifier(engine, options)
    pairs = {(c, p.id): (c, p) for by_claim in shown.values() for c, passages in by_claim.items() for p in passages}
    keys, readings = list(pairs), {}
    started = time.perf_counter()
    with progress("verifying", len(pairs)) as advance:
        for index, reading in verifier.read([pairs[key] for key in keys]):
            readings[keys[index]] = reading
            advance(1)
    say(f"{len(pairs)} pairs of claim and passage in {time.perf_counter() - started:.0f} s")
    return readings


def verdict_table(
    gold: list[Gold], sample: list[Gold], shown: dict[str, dict[str, list[Passage]]], readings: Pairs, config: Config
) -> None:
    """Print the accuracy of the verdicts with each search, against a constant verdict and against people."""
    truth = np.array([g.verdict for g in sample])
    verdicts: dict[str, Sequence[str | None]] = {"always supported (the majority)": ["supported"] * len(sample)}
    people = [min((stance for _, stance in g.passages), key=ORDER.index) for g in sample]
    verdicts["its own five, people's stances"] = people
    for name, passages in shown.items():
        verdicts[name] = [decided(g.claim, passages[g.claim], readings) for g in sample]
    mix = {verdict: sum(g.verdict == verdict for g in gold) / len(gold) for verdict in VERDICTS.values()}
    tell()
    print_table(
        [verdict_row(name, np.array(answers, dtype=object), truth, mix, config) for name, answers in verdicts.items()]
    )


def decided(claim: str, passages: list[Passage], readings: Pairs) -> str | None:
    return decide(claim, passages, [readings[claim, passage.id] for passage in passages]).verdict


def verdict_row(
    name: str, answers: NDArray[Any], truth: NDArray[Any], mix: dict[str, float], config: Config
) -> dict[str, Cell]:
    sizes = [int((truth == verdict).sum()) for verdict in mix]  # `truth` is sorted by label

    def recalls(picks: NDArray[Any]) -> list[float]:
        return [float((answers[picks] == truth[picks])[truth[picks] == verdict].mean()) for verdict in mix]

    return {
        "passages": name,
        "accuracy": with_interval(lambda picks: np.dot(recalls(picks), list(mix.values())), sizes, config),
        "balanced": with_interval(lambda picks: np.mean(recalls(picks)), sizes, config),
        **{f"says {verdict}": int((answers == verdict).sum()) for verdict in mix},
        "unchecked": sum(verdict is None for verdict in answers),
    }


def stance_table(sample: list[Gold], readings: Pairs, config: Config) -> None:
    """Print how well a single passage's stance is read, against always answering the most frequent one."""
    truth, stances = [], []
    for g in sample:
        for passage, stance in g.passages:
            probabilities = readings[g.claim, passage.id].probabilities
            truth.append(stance)
            stances.append(max(probabilities, key=probabilities.__getitem__) if probabilities else "none")
    most = max(ORDER, key=truth.count)
    rows: list[dict[str, Cell]] = [
        {
            "reader": name,
            "pairs": len(truth),
            "accuracy": float(np.mean([a == b for a, b in zip(truth, answers, strict=True)])),
            "balanced": float(balanced_accuracy_score(truth, answers)) if "none" not in answers else None,
            "unread": answers.count("none"),
        }
        for name, answers in ((f"always '{most}'", [most] * len(truth)), (verifier_name(config), stances))
    ]
    tell()
    print_table(rows)


def truth_table(
    engine: Engine,
    gold: list[Gold],
    sample: list[Gold],
    shown: dict[str, dict[str, list[Passage]]],
    readings: Pairs,
    searches: dict[str, Search],
    config: Config,
) -> None:
    """Print how well true claims are told from false ones without passages, with them, and by similarity alone."""
    whole = sorted((g for g in gold if g.verdict != "not enough"), key=lambda g: g.verdict == "refuted")
    claims = [g for g in sample if g.verdict != "not enough"]
    truth = np.array([g.verdict == "supported" for g in claims])
    leanings = dict(zip([g.claim for g in whole], closed_book(engine, whole), strict=True))
    signals = {f"no passages, {engine.name}": [leanings[g.claim] for g in claims]}
    for name, passages in shown.items():
        signals[f"{name}, {verifier_name(config)}"] = [leaning(g.claim, passages[g.claim], readings) for g in claims]
    nearest = searches["dense"].search([g.claim for g in claims], 1)
    signals["no model, cosine of the nearest passage"] = [passages[0].score for passages in nearest]
    tell()
    rows = [truth_row(name, values, truth, config) for name, values in signals.items()]
    everything = np.array([g.verdict == "supported" for g in whole])
    print_table(
        [*rows, truth_row(f"no passages, {engine.name}, every claim", list(leanings.values()), everything, config)]
    )


def truth_row(name: str, values: list[float | None], truth: NDArray[Any], config: Config) -> dict[str, Cell]:
    known = np.array([value is not None for value in values])
    scores, labels = np.array([value for value in values if value is not None]), truth[known]
    sizes = [int(labels.sum()), int((~labels).sum())]
    cells: dict[str, Cell] = {"judged by": name, "claims": int(known.sum()), "no verdict": int((~known).sum())}
    if min(sizes) == 0:
        return cells | {"AUC, true against false": None}
    return cells | {
        "AUC, true against false": with_interval(
            lambda picks: float(roc_auc_score(labels[picks], scores[picks])), sizes, config
        )
    }


def closed_book(engine: Engine, claims: list[Gold]) -> list[float | None]:
    """Return how much more the model leans to true than to false, without any passage.

    If its first words are neither, the claim still counts here, because only the order matters.
    """
    question = load_question("closed_book", Path(__file__).parent)
    requests = [question.request(claim=g.claim) for g in claims]
    leanings: list[float | None] = [None] * len(claims)
    for choice in engine.choose(requests, list(question.choices)):
        leanings[choice.index] = None if choice.error else choice.logprobs[0] - choice.logprobs[1]
    return leanings


def leaning(claim: str, passages: list[Passage], readings: Pairs) -> float | None:
    """Return how much more the deciding passage supports than refutes, or 0 if no passage was found."""
    checked = decide(claim, passages, [readings[claim, passage.id] for passage in passages])
    if checked.verdict is None:
        return None
    return checked.probabilities["supported"] - checked.probabilities["refuted"] if checked.probabilities else 0.0


def verifier_name(config: Config) -> str:
    return config.nli_model or config.engine.model


def with_interval(statistic: Callable[[NDArray[Any]], float], sizes: list[int], config: Config) -> str:
    """Return the statistic of all rows with its 95 % interval, resampling rows within each group of `sizes`."""
    starts = np.cumsum([0, *sizes[:-1]])
    groups = [np.arange(start, start + size) for start, size in zip(starts, sizes, strict=True)]
    rng = np.random.default_rng(derived_seed(config.seed, "bootstrap"))
    draws = [
        statistic(np.concatenate([rng.choice(group, len(group)) for group in groups])) for _ in range(config.resamples)
    ]
    low, high = np.percentile(draws, [2.5, 97.5])
    return f"{statistic(np.concatenate(groups)):.3f} ({low:.3f} to {high:.3f})"


if __name__ == "__main__":
    main(tyro.cli(Config, prog="python -m benchmarks.retrieval"))
