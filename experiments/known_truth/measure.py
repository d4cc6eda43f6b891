"""Measures the models of an arm by the truth: the quality of their answers, and the accuracy of their judgments."""

import gc
from collections.abc import Iterable, Sequence
from itertools import combinations
from pathlib import Path
from statistics import fmean

import msgspec

from engines.answers import answer_into
from engines.likelihood import answer_tokens, token_logprobs
from engines.local.transformers_engine import TransformersEngine
from engines.models import model_digest
from engines.protocol import Sampling
from experiments.known_truth.circle import model_folder
from experiments.world.data import prompts_of, truth_of
from experiments.world.sizes import ITERATIONS, Seeds, Size
from experiments.world.world import TOP, quality
from judges.judging.judge import judge_into, open_judge
from records import Judgment, Pair, Response, Store, messages_of, read_rows, text_of
from records.files import BadRows
from records.finish import cut_off
from records.keys import content_key
from records.rows import Row
from records.runs import Run
from records.shapes import read_chats
from records.store import write_atomic
from trainer.loop.recipe import Config

BATCH_ROWS = 64


class OrderAccuracy(Row, frozen=True, kw_only=True):
    """How often the better of two answers has the higher score. Pairs of equal quality are left out."""

    n: int
    """Pairs with a better side and two scores."""
    n_unscored: int
    """Pairs with a better side that lack a score."""
    half: float | None
    """Accuracy with a judge's tie as half right."""
    wrong: float | None
    """Accuracy with a judge's tie as wrong."""


class ModelFigures(Row, frozen=True, kw_only=True):
    """One model on the held-out instructions."""

    n: int
    quality: float
    """Mean quality, 0 to 5."""
    perfect: float
    """Share of right answers."""
    symbols: float
    """Mean length."""
    truncated: float
    own: OrderAccuracy
    """The model as the judge of its own answers."""
    graded: OrderAccuracy
    """The model as the judge of answers of known quality, the same for all models."""


class RoundFigures(Row, frozen=True, kw_only=True):
    """The training data of one round, and their effect."""

    n_pairs: int
    """Number of pairs, or of chosen answers if there are no pairs."""
    right: float | None
    """Share of pairs in the true order, among those whose sides differ in quality. Without pairs, the share of chosen
    answers that are right."""
    equal: float | None
    """Share of the pairs whose sides are equally good."""
    dpo_accuracy: float | None
    """Share of held-out pairs (the best against the worst of the parent's answers) whose better answer gained more
    likelihood in the round than the worse one."""


def measure(run: Run, config: Config, size: Size, seeds: Seeds) -> list[ModelFigures]:
    """Return the measures of M0 to M3, reading those that were made before, for this or another arm."""
    return [_measured(model_folder(run, number), config, size, seeds) for number in range(ITERATIONS + 1)]


def learnt(run: Run, seeds: Seeds, measured_parent: Path, number: int) -> RoundFigures:
    """Return the training data and effect of round `number`. `measured_parent` has its parent's held-out answers."""
    file = run.iteration(number) / "learnt.json"
    if not file.exists():
        parents = list(read_rows(measured_parent / "answers.jsonl", Response))
        figures = _learnt(run, number, parents)
        write_atomic(file, msgspec.json.encode(figures))
    return msgspec.json.decode(file.read_bytes(), type=RoundFigures)


def measured_folder(model: Path, config: Config, seeds: Seeds) -> Path:
    """Return the folder of a model's measures, which depend on its weights and on how it judges."""
    # weights and not names: arms that share a model share its measures
    key = content_key(model_digest(model), config.judge.read, config.judge.samples)
    return seeds.folder / "measured" / key


def accuracy(judgments: Iterable[Judgment]) -> OrderAccuracy:
    """Return how often the scores order two answers to one prompt as their quality does."""
    by_prompt: dict[str, list[tuple[float, float | None]]] = {}
    for judgment in judgments:
        graded = (quality(text_of(judgment.prompt), judgment.response), judgment.score)
        by_prompt.setdefault(judgment.prompt_id, []).append(graded)
    credits, n_tied, n_unscored = [], 0, 0
    for answers in by_prompt.values():
        for (truth_a, score_a), (truth_b, score_b) in combinations(answers, 2):
            if truth_a == truth_b:
                continue
            if score_a is None or score_b is None:
                n_unscored += 1
                continue
            n_tied += score_a == score_b
            credits.append(0.5 if score_a == score_b else float((score_a > score_b) == (truth_a > truth_b)))
    half = fmean(credits) if credits else None
    wrong = None if half is None else half - 0.5 * n_tied / len(credits)  # without the half that each tie was given
    return OrderAccuracy(n=len(credits), n_unscored=n_unscored, half=half, wrong=wrong)


def _measured(model: Path, config: Config, size: Size, seeds: Seeds) -> ModelFigures:
    folder = measured_folder(model, config, seeds)
    file = folder / "measured.json"
    if file.exists():
        return msgspec.json.decode(file.read_bytes(), type=ModelFigures)
    engine = TransformersEngine.load(model, "model", config.engine.batch_size)
    options = config.candidates
    sampling = Sampling(options.max_new_tokens, options.temperature, options.top_p)
    with Store(folder / "answers.jsonl", Response) as store:
        prompts = prompts_of(seeds, "held_out")
        answers = answer_into(store, engine, prompts, sampling, n=size.answers, seed=config.seed, title="held out")
    judge = open_judge(engine, config.judge, config.seed)
    graded = list(read_rows(seeds.file("graded"), Response))
    with Store(folder / "judgments.jsonl", Judgment) as verdicts:
        judged_own = judge_into(verdicts, judge, answers, "own answers judged")
        known = judge_into(verdicts, judge, graded, "graded answers judged")
    del engine, judge  # before the next arm loads its own models
    gc.collect()
    truth = [truth_of(answer) for answer in answers]
    figures = ModelFigures(
        n=len(answers),
        quality=fmean(truth),
        perfect=fmean(level == TOP for level in truth),
        symbols=fmean(len(answer.response.split()) for answer in answers),
        truncated=fmean(cut_off(answer.finish_reason) is not None for answer in answers),
        own=accuracy(judged_own),
        graded=accuracy(known),
    )
    write_atomic(file, msgspec.json.encode(figures))
    return figures


def _learnt(run: Run, number: int, parents: Sequence[Response]) -> RoundFigures:
    folder = run.iteration(number)
    if (folder / "chats.jsonl").exists():
        chats = list(read_chats(folder / "chats.jsonl", BadRows(strict=True)))
        right = fmean(quality(chat[0]["content"], chat[-1]["content"]) == TOP for chat in chats)
        return RoundFigures(
            n_pairs=len(chats), right=right, equal=None, dpo_accuracy=_dpo_accuracy(run, number, parents)
        )
    pairs = list(read_rows(folder / "pairs.jsonl", Pair))
    gains = [_gain(pair) for pair in pairs]
    ordered = [gain > 0 for gain in gains if gain]  # pairs of equal quality have no true order
    return RoundFigures(
        n_pairs=len(pairs),
        right=fmean(ordered) if ordered else None,
        equal=fmean(gain == 0 for gain in gains),
        dpo_accuracy=_dpo_accuracy(run, number, parents),
    )


def _gain(pair: Pair) -> float:
    chosen, rejected = (quality(text_of(pair.prompt), side[0]["content"]) for side in (pair.chosen, pair.rejected))
    return chosen - rejected


def _dpo_accuracy(run: Run, number: int, parents: Sequence[Response]) -> float | None:
    by_prompt: dict[str, list[Response]] = {}
    for answer in parents:
        by_prompt.setdefault(answer.prompt_id, []).append(answer)
    contests = [(max(answers, key=truth_of), min(answers, key=truth_of)) for answers in by_prompt.values()]
    contests = [(best, worst) for best, worst in contests if truth_of(best) > truth_of(worst)]
    if not contests:
        return None
    answers = [answer for contest in contests for answer in contest]  # best, worst, best, worst, ...
    now, before = (_logprobs(model_folder(run, n), answers) for n in (number, number - 1))
    rewards = [a - b for a, b in zip(now, before, strict=True)]
    return fmean(best > worst for best, worst in zip(rewards[::2], rewards[1::2], strict=True))


def _logprobs(model: Path, answers: Sequence[Response]) -> list[float]:
    """Return the natural log-probability of each answer with its end, given its prompt."""
    engine = TransformersEngine.load(model, "model", BATCH_ROWS)
    tokenised = (answer_tokens(engine, messages_of(answer.prompt), answer.response) for answer in answers)
    end = engine.tokenizer.eos_token_id
    logprobs = {
        likelihood.index: sum(likelihood.logprobs)
        # with the end token, because DPO learns it too; n is how many of the tokens are the answer's
        for likelihood in token_logprobs(engine, [([*t, end], n + 1) for t, n in tokenised])
    }
    return [logprobs[index] for index in range(len(answers))]  # they come by length, not in order
