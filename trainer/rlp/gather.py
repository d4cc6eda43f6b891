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
from console.flags import in_section
from engines.answers import answer_into
from engines.options import EngineOptions
from engines.protocol import Sampling
from engines.reward_model import AnyRewardModel
from engines.trained import free_memory
from judges.judging.coverage import check_coverage, require_coverage
from judges.judging.pairwise import both_orders_answered
from judges.judging.reward_model import open_reward_model, rewards_into
from records import Comparison, Judgment, Pair, Prompt, Response, Store, read_rows
from records.rows import Row
from records.runs import Run
from records.store import latest, write_atomic, write_rows
from trainer.reward_model.data import held_out_split
from trainer.reward_model.views import ViewPair, view_pairs
from trainer.rlp.annotator import open_annotator
from trainer.rlp.preferences import contests_of, labelled_pairs, n_turned_round, with_noise
from trainer.rlp.recipe import AnnotatorOptions, Config, EvalOptions, PreferenceOptions, SampleOptions
from trainer.rlp.splits import given_pairs
from trainer.rlp.synthetic import synthetic_pairs
from trainer.runs.integrity import REWARD_MODEL
from trainer.runs.models import open_model

COUNTS = "counts.json"
"""The outcomes of iter3's prompts. It is written last."""


class View(Row, frozen=True, kw_only=True):
    """Two of the policy's answers to a prompt, by their ids."""

    prompt_id: str
    first: str
    second: str


def load_reward_model(run: Run, number: int, options: EngineOptions) -> AnyRewardModel:
    """Return the reward model of iteration `number`, in vLLM if `options` name it."""
    folder = run.iteration(number) / REWARD_MODEL
    free_memory()
    return open_reward_model(folder, f"iter{number}/{REWARD_MODEL}", reward_engine(options))


def reward_engine(options: EngineOptions) -> EngineOptions:
    """Return the run's engine for its reward models, which compute in their own type and keep their own template."""
    return replace(options, dtype="auto", chat_template_kwargs={})


def labels_of(comparisons: Sequence[Comparison], options: AnnotatorOptions) -> list[Pair]:
    """Return the pairs of the comparisons, labelled as the recipe says."""
    return labelled_pairs(comparisons, by_mean=options.label == "mean")


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
    pairs = (
        list(given_pairs(options.file, options.codes, strict=config.strict))
        if options.file
        else _annotated(run, prompts, config)
    )
    learnt, held_out = _sides(pairs, options, config.seed)
    # `_sides` goes by the prompts alone, so it finds the same two sides in this file again.
    write_rows(path, [*with_noise(learnt, options.flip, config.seed), *held_out])


def preferences_of(run: Run, options: PreferenceOptions, seed: int) -> tuple[list[Pair], list[Pair]]:
    """Return the stored preferences: those to learn from and the held-out ones."""
    pairs = list(read_rows(run.iteration(1) / "pairs.jsonl", Pair))
    return _sides(pairs, options, seed)


def _sides(pairs: list[Pair], options: PreferenceOptions, seed: int) -> tuple[list[Pair], list[Pair]]:
    with in_section("preferences.", options):
        return held_out_split(pairs, options.held_out_share, seed)


def preference_counts(run: Run, options: PreferenceOptions, seed: int) -> dict[str, int]:
    """Return the outcomes of the prompts. Missing or identical answers leave a prompt without a comparison."""
    learnt, held_out = preferences_of(run, options, seed)
    counts = {"pairs": len(learnt) + len(held_out), "held_out": len(held_out), "flipped": n_turned_round(learnt)}
    if options.file is not None:
        return counts
    rows = latest(read_rows(run.iteration(1) / "comparisons.jsonl", Comparison))
    n_prompts, n_null = options.prompts, sum(comparison.winner is None for comparison in rows)
    n_tied = len(rows) - n_null - len(learnt) - len(held_out)  # what is left: a tie makes no pair
    return {"prompts": n_prompts, "not_compared": n_prompts - len(rows), "tied": n_tied, "unparsed": n_null} | counts


def gather_on_policy(run: Run, prompts: Sequence[Prompt], config: Config) -> dict[str, int]:
    """Sample iter2, score its answers with the first reward model, make training data of them, and return the counts.

    Raises JudgeError if too few answers have a reward, TrainingError if nothing can be learnt from them.
    """
    folder = run.iteration(3)
    if not (folder / COUNTS).exists():
        responses = _sampled(run, prompts, config)
        counts = _views(folder, responses, config.seed) if config.rlp.method == "uml" else _pairs(run, config)
        write_atomic(folder / COUNTS, msgspec.json.encode(counts))  # after the pairs, whose file it vouches for
    return msgspec.json.decode((folder / COUNTS).read_bytes(), type=dict[str, int])


def views_of(run: Run) -> list[ViewPair]:
    """Return the stored view pairs of iter3."""
    folder = run.iteration(3)
    # views.jsonl has ids alone
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
        annotator = open_annotator(run, config.annotator, prompts, config.seed)
        rows = annotator.compare(comparisons, contests, "iter1 annotator")
    reasons = Counter(comparison.error or "unknown" for comparison in rows if comparison.winner is None)
    how, n = config.annotator.judge, len(rows)
    read = None if config.annotator.label == "constraints" else how.read
    require_coverage(n - reasons.total(), n, how.min_coverage, reasons=reasons, read=read)
    pairs = labels_of(rows, config.annotator)
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
        judgments = rewards_into(judged, load_reward_model(run, 1, config.engine), responses, "iter3 rewards")
    check_coverage(judgments, options.min_coverage)
    return responses


def _views(folder: Path, responses: list[Response], seed: int) -> dict[str, int]:
    views = view_pairs(responses, seed)
    write_rows(folder / "views.jsonl", [View(prompt_id=a.prompt_id, first=a.id, second=b.id) for a, b in views])
    return {"views": len(views)}


def _pairs(run: Run, config: Config) -> dict[str, int]:
    folder, options = run.iteration(3), config.synthetic
    counts = synthetic_pairs(
        folder / "judgments.jsonl", folder, options, config.seed, lambda: open_model(run, 2, config.engine)
    )
    n, n_failed = sum(counts.values()), counts["failed"]
    require_coverage(n - n_failed, n, options.judge.min_coverage, reasons=Counter({"it failed": n_failed}))
    if not counts["pair"]:
        raise TrainingError(
            f"no prompt gave a synthetic pair: {', '.join(f'{n} {name}' for name, n in counts.items() if n)}. Try more "
            "--samples.n, a lower --synthetic.gamma, or another --synthetic.relation.threshold"
        )
    return counts
