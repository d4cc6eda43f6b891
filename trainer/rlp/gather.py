"""Gathers the data of the two reward models: labelled pairs of the SFT model's answers, and the policy's own answers.

Each function reads files and writes a file, so an interrupted run resumes. The training data are written last.
"""

import gc
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from console.errors import TrainingError
from engines.answers import answer_into
from engines.options import open_engine
from engines.protocol import Sampling
from engines.reward_model import RewardModel
from judges.judging.judge import Judge, check_coverage, open_judge, require_coverage
from judges.judging.pairwise import both_orders_answered, compare_into
from judges.judging.reward_model import rewards_into
from records import Comparison, Judgment, Pair, Prompt, Response, Store, read_rows
from records.rows import Row
from records.runs import Run
from records.store import latest, write_atomic, write_rows
from trainer.reward_model.data import held_out_split
from trainer.reward_model.views import ViewPair, view_pairs
from trainer.rlp.preferences import contests_of, labelled_pairs, n_turned_round, with_noise
from trainer.rlp.recipe import Config, EvalOptions, PreferenceOptions, SampleOptions
from trainer.rlp.splits import given_pairs
from trainer.rlp.synthetic import synthetic_pairs
from trainer.run.integrity import REWARD_MODEL
from trainer.run.models import open_model

COUNTS = "counts.json"
"""The outcomes of iter3's prompts. It is written last."""


class View(Row, frozen=True, kw_only=True):
    """Two of the policy's answers to a prompt, by their ids."""

    prompt_id: str
    first: str
    second: str


def load_reward_model(run: Run, number: int, config: Config) -> RewardModel:
    """Return the reward model of iteration `number`."""
    folder = run.iteration(number) / REWARD_MODEL
    return RewardModel.load(folder, f"iter{number}/{REWARD_MODEL}", config.engine.batch_size)


def open_annotator(run: Run, config: Config) -> Judge:
    """Return the judge that labels pairs. If it is an iteration, it is one of this run."""
    engine = replace(config.annotator.engine, run=config.annotator.engine.run or str(run.folder))
    return open_judge(open_engine(engine), config.annotator.judge, config.seed)


def labels_of(comparisons: Sequence[Comparison], config: Config) -> list[Pair]:
    """Return the pairs of the comparisons, labelled as the recipe says."""
    return labelled_pairs(comparisons, by_mean=config.annotator.label == "mean")


def sampling_of(options: PreferenceOptions | SampleOptions | EvalOptions) -> Sampling:
    """Return the sampling settings of the answers."""
    return Sampling(options.max_new_tokens, options.temperature, options.top_p)


def gather_preferences(run: Run, prompts: Sequence[Prompt], config: Config) -> None:
    """Write D to iter1/pairs.jsonl: the pairs to learn, some flipped as noise, then the held-out ones unchanged.

    Raises JudgeError if the annotator has too few verdicts, TrainingError if it prefers no answer.
    """
    options, path = config.preferences, run.iteration(1) / "pairs.jsonl"
    if path.exists():
        return
    pairs = list(given_pairs(options.file, config)) if options.file else _annotated(run, prompts, config)
    learnt, held_out = held_out_split(pairs, options.held_out_share, config.seed)
    write_rows(path, [*with_noise(learnt, options.flip, config.seed), *held_out])


def preferences_of(run: Run, config: Config) -> tuple[list[Pair], list[Pair]]:
    """Return the stored preferences: those to learn from and the held-out ones."""
    pairs = list(read_rows(run.iteration(1) / "pairs.jsonl", Pair))
    return held_out_split(pairs, config.preferences.held_out_share, config.seed)


def preference_counts(run: Run, config: Config) -> dict[str, int]:
    """Return the outcomes of the prompts. Missing or identical answers leave a prompt without a comparison."""
    learnt, held_out = preferences_of(run, config)
    counts = {"pairs": len(learnt) + len(held_out), "held_out": len(held_out), "flipped": n_turned_round(learnt)}
    if config.preferences.file is not None:
        return counts
    rows = latest(read_rows(run.iteration(1) / "comparisons.jsonl", Comparison))
    n_prompts, n_null = config.preferences.prompts, sum(comparison.winner is None for comparison in rows)
    n_tied = len(rows) - n_null - len(learnt) - len(held_out)
    return {"prompts": n_prompts, "not_compared": n_prompts - len(rows), "tied": n_tied, "unparsed": n_null} | counts


def gather_on_policy(run: Run, prompts: Sequence[Prompt], config: Config) -> dict[str, int]:
    """Sample iter2, score its answers with the first reward model, make training data of them, and return the counts.

    Raises JudgeError if too few answers have a reward, TrainingError if nothing can be learnt from them.
    """
    folder = run.iteration(3)
    if not (folder / COUNTS).exists():
        responses = _sampled(run, prompts, config)
        counts = _views(folder, responses, config) if config.rlp.method == "uml" else _pairs(run, config)
        write_atomic(folder / COUNTS, msgspec.json.encode(counts))
    return msgspec.json.decode((folder / COUNTS).read_bytes(), type=dict[str, int])


def views_of(run: Run) -> list[ViewPair]:
    """Return the stored view pairs of iter3."""
    folder = run.iteration(3)
    by_id = {response.id: response for response in read_rows(folder / "responses.jsonl", Response)}
    return [(by_id[view.first], by_id[view.second]) for view in read_rows(folder / "views.jsonl", View)]


def _annotated(run: Run, prompts: Sequence[Prompt], config: Config) -> list[Pair]:
    folder = run.iteration(1)
    engine = open_model(run, 1, config.engine)
    with Store(folder / "responses.jsonl", Response) as store:
        sampling = sampling_of(config.preferences)
        answers = answer_into(store, engine, prompts, sampling, n=2, seed=config.seed, title="iter1 answers")
    del engine
    gc.collect()  # the annotator may need the memory
    contests = contests_of(answers)
    with Store(folder / "comparisons.jsonl", Comparison, keep=both_orders_answered) as comparisons:
        rows = compare_into(comparisons, open_annotator(run, config), contests, "iter1 annotator")
    reasons = Counter(comparison.error or "unknown" for comparison in rows if comparison.winner is None)
    how = config.annotator.judge
    require_coverage(len(rows) - reasons.total(), len(rows), reasons, how.min_coverage, how.read)
    pairs = labels_of(rows, config)
    if not pairs:
        raise TrainingError(
            f"the annotator prefers neither answer of any prompt: {len(rows)} of {len(prompts)} were compared, all are "
            "ties. Try --annotator.label mean, or another --annotator.engine.model"
        )
    return pairs


def _sampled(run: Run, prompts: Sequence[Prompt], config: Config) -> list[Response]:
    folder, options = run.iteration(3), config.samples
    engine = open_model(run, 2, config.engine)
    with Store(folder / "responses.jsonl", Response) as store:
        sampling = sampling_of(options)
        responses = answer_into(
            store, engine, prompts, sampling, n=options.n, seed=config.seed, title="iter3 samples of iter2"
        )
    del engine
    gc.collect()
    with Store(folder / "judgments.jsonl", Judgment) as judged:
        judgments = rewards_into(judged, load_reward_model(run, 1, config), responses, "iter3 rewards")
    check_coverage(judgments, options.min_coverage)
    return responses


def _views(folder: Path, responses: list[Response], config: Config) -> dict[str, int]:
    views = view_pairs(responses, config.seed)
    write_rows(folder / "views.jsonl", [View(prompt_id=a.prompt_id, first=a.id, second=b.id) for a, b in views])
    return {"views": len(views)}


def _pairs(run: Run, config: Config) -> dict[str, int]:
    folder, options = run.iteration(3), config.synthetic
    counts = synthetic_pairs(
        folder / "judgments.jsonl", folder, options, config.seed, lambda: open_model(run, 2, config.engine)
    )
    n, n_failed = sum(counts.values()), counts["failed"]
    require_coverage(n - n_failed, n, Counter({"it failed": n_failed}), options.judge.min_coverage)
    if not counts["pair"]:
        raise TrainingError(
            f"no prompt gave a synthetic pair: {', '.join(f'{n} {name}' for name, n in counts.items() if n)}. Try more "
            "--samples.n, a lower --synthetic.gamma, or another --synthetic.relation.threshold"
        )
    return counts
