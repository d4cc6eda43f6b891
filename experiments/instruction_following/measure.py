"""Measures the models of an arm: what their answers follow, their judging, and what it costs the content."""

import gc
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from statistics import fmean

import msgspec
from scipy.stats import spearmanr

from engines.local.transformers_engine import TransformersEngine
from engines.protocol import Engine
from experiments.instruction_following.options import Size
from experiments.instruction_following.results import IterationResult, RoundResult
from judges.judging.judge import Judge, has_every_reply, judge_into, open_judge
from judges.options import JudgeOptions
from judges.tools.constraints.checking import check_constraints
from records import Judgment, Pair, Prompt, Response, Store, read_rows
from records.keys import content_key
from records.rows import Row, request_text
from records.runs import Run
from records.store import write_atomic
from trainer.loop.gather import candidates
from trainer.loop.held_out.files import answers_path, checks_path
from trainer.loop.held_out.measure import held_out_sampling
from trainer.loop.held_out.measure import measure as measure_by_loop
from trainer.loop.recipe import CandidateOptions, Config
from trainer.monitors.following import CheckedAnswer, Following, following_of, known_pairs
from trainer.monitors.kl import AnswerLikelihood, likelihoods_into
from trainer.monitors.pair_order import order_of
from trainer.runs.models import open_model, open_reader

CONTENT = JudgeOptions(rubric="additive", read="logprobs")
"""The judge of the content: the paper's rubric, which says nothing about form."""
FIXED = (0, 1)
"""The iterations of the yardstick's run that judge the content of every arm."""


@dataclass(frozen=True)
class Questions:
    """The prompts of the measures, the same for all arms of a seed."""

    held_out: list[Prompt]
    unseen: list[Prompt]
    ifeval: list[Prompt]
    """Empty without --ifeval."""


class Own(Row, frozen=True, kw_only=True):
    """The part that needs the iteration's own model."""

    unseen: Following
    ifeval: Following | None
    few_labels: float | None
    scores: dict[str, float]
    """The model's own scores of its held-out answers, by the answer's id."""


class ByOthers(Row, frozen=True, kw_only=True):
    """The part that other models read."""

    perplexity: float
    content: dict[str, float | None]
    agreement: float | None


def measured(
    run: Run, number: int, questions: Questions, config: Config, size: Size, yardstick: Run
) -> IterationResult:
    """Return the figures of iteration `number`, reading those that were made before.

    `config` judges by the model's own score alone. The iter0 and iter1 of `yardstick` judge the content of all arms.
    """
    key = content_key(msgspec.to_builtins(size), [prompt.id for prompt in questions.ifeval])
    # beside the model and not in the store of results, because several arms share iter0 and iter1
    done = run.iteration(number) / f"measured-{key}.json"
    if done.exists():
        return msgspec.json.decode(done.read_bytes(), type=IterationResult)
    by_loop = measure_by_loop(run, number, questions.held_out, config)
    assert by_loop.following is not None and by_loop.monitors is not None
    own = _own(run, number, questions, config, size)
    others = _by_others(run, number, own.scores, config, size, yardstick)
    result = IterationResult(
        iteration=number,
        seen=by_loop.following,
        unseen=own.unseen,
        ifeval=own.ifeval,
        monitors=by_loop.monitors,
        agreement=others.agreement,
        few_labels=own.few_labels,
        perplexity=others.perplexity,
        content=others.content,
    )
    write_atomic(done, msgspec.json.encode(result))
    return result


def learnt(rounds: Run, number: int, prompts: Sequence[Prompt]) -> RoundResult:
    """Return what round `number` learnt from. `prompts` have the constraints of all of its prompts."""
    folder = rounds.iteration(number)
    if (folder / "chats.jsonl").exists():
        n_passing = len((folder / "chats.jsonl").read_bytes().splitlines())
        return RoundResult(iteration=number, n=n_passing, right=1.0, equal=None)
    order = order_of(read_rows(folder / "pairs.jsonl", Pair), prompts)
    n = order.n_right + order.n_wrong + order.n_equal
    return RoundResult(iteration=number, n=n, right=order.right, equal=order.n_equal / n if n else None)


def _own(run: Run, number: int, questions: Questions, config: Config, size: Size) -> Own:
    engine, name = open_model(run, number, config.engine), f"iter{number}"
    as_held_out = replace(held_out_sampling(config), n=size.unseen_answers)
    greedy = replace(as_held_out, n=1, max_new_tokens=size.ifeval_tokens, temperature=0.0, top_p=1.0)
    unseen_file, ifeval_file = (_eval_file(run, f"{what}_{name}") for what in ("unseen", "ifeval"))
    unseen = _following(unseen_file, engine, questions.unseen, as_held_out, config.seed)
    ifeval = _following(ifeval_file, engine, questions.ifeval, greedy, config.seed) if questions.ifeval else None
    assert unseen is not None
    judge = open_judge(engine, config.judge, config.seed)
    answers = list(read_rows(answers_path(run, number), Response))
    scores = _scores(run, judge, answers, f"{name} judging its own")
    del engine, judge  # before other models read the same answers
    gc.collect()
    checks = list(read_rows(checks_path(run, number), CheckedAnswer))
    return Own(unseen=unseen, ifeval=ifeval, few_labels=few_labels(checks, scores, size, config.seed), scores=scores)


def _following(
    file: Path, engine: Engine, prompts: list[Prompt], options: CandidateOptions, seed: int
) -> Following | None:
    """Return what the model's answers to other prompts follow."""
    answers = candidates(file, engine, prompts, options, seed, f"{file.stem} answers")
    return following_of(checked(prompts, answers), {}, seed=seed)


def few_labels(checks: list[CheckedAnswer], scores: dict[str, float], size: Size, seed: int) -> float | None:
    """Return the accuracy on a few known pairs drawn by the seed, as a person would label them. None without a pair."""
    pairs = known_pairs(checks, scores)
    drawn = Random(f"labels {seed}").sample(pairs, min(size.labels, len(pairs)))
    return fmean(credit for _, credit in drawn) if drawn else None


def rank_correlation(first: dict[str, float], second: dict[str, float]) -> float | None:
    """Return Spearman's correlation of two judges' scores of the answers that both scored, or None if undefined."""
    shared = sorted(first.keys() & second.keys())
    scores = [[judge[answer] for answer in shared] for judge in (first, second)]
    # two points always correlate fully, and equal scores have no ranks
    if len(shared) < 3 or any(len(set(values)) == 1 for values in scores):
        return None
    return float(spearmanr(*scores).statistic)


def checked(prompts: Sequence[Prompt], answers: Sequence[Response]) -> list[CheckedAnswer]:
    """Return what a program finds in each answer."""
    by_id = {prompt.id: prompt for prompt in prompts}
    return [
        CheckedAnswer(
            response_id=answer.id,
            prompt_id=answer.prompt_id,
            checks=check_constraints(
                request_text(by_id[answer.prompt_id].prompt),
                answer.response,
                by_id[answer.prompt_id].constraints or [],
            ),
        )
        for answer in answers
    ]


def _by_others(run: Run, number: int, own: dict[str, float], config: Config, size: Size, yardstick: Run) -> ByOthers:
    """Return what other models read in the held-out answers, one model at a time."""
    answers = list(read_rows(answers_path(run, number), Response))
    # One answer per prompt, because the content's judge is the dearest measure. Reversed, so that the first one stays.
    first = {answer.prompt_id: answer for answer in reversed(answers)}
    read = [first[prompt_id] for prompt_id in sorted(first)][: size.content]  # the same prompts for every model
    content: dict[str, float | None] = {}
    for fixed in FIXED:
        engine = open_reader(yardstick, fixed, config.engine)
        title = f"iter{fixed} reading iter{number}"
        scores = _scores(run, open_judge(engine, CONTENT, config.seed), read, f"{title} for its content")
        content[f"iter{fixed}"] = fmean(scores.values()) if scores else None
        if fixed == 0:
            perplexity = _perplexity(run, engine, answers, f"{title} likelihoods")
        del engine
        gc.collect()
    judge = open_judge(open_model(run, 1, config.engine), config.judge, config.seed)
    by_iter1 = _scores(run, judge, answers, f"iter1 judging iter{number}")
    return ByOthers(perplexity=perplexity, content=content, agreement=rank_correlation(own, by_iter1))


def _scores(run: Run, judge: Judge, answers: list[Response], title: str) -> dict[str, float]:
    """Return the scores by the answer's id, reading those that the loop's own measures have stored."""
    with Store(_eval_file(run, "judgments"), Judgment, keep=has_every_reply) as store:
        judgments = judge_into(store, judge, answers, title)
    return {judgment.response_id: judgment.score for judgment in judgments if judgment.score is not None}


def _perplexity(run: Run, engine: TransformersEngine, answers: list[Response], title: str) -> float:
    """Return exp of the mean negative log-probability per token of all answers."""
    with Store(_eval_file(run, "likelihoods"), AnswerLikelihood) as store:
        rows = likelihoods_into(store, engine, answers, title)
    logprobs = [logprob for row in rows for logprob in row.logprobs]
    return math.exp(-fmean(logprobs))


def _eval_file(run: Run, name: str) -> Path:
    return answers_path(run, 0).with_name(f"{name}.jsonl")
