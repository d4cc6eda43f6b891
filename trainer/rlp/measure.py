"""Measures the three policies and the two reward models on held-out prompts at the end of a run.

A policy is judged by one answer per prompt. On-policy measurements (its distance to the SFT model, and the pairs that
test a reward model) use two further answers, drawn as the samples of iter3 are.
"""

import gc
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import msgspec

from console.table import Cell
from engines.answers import answer_into
from engines.local.transformers_engine import TransformersEngine
from engines.options import EngineOptions
from engines.protocol import Engine
from judges.judging.contests import contest_of
from judges.judging.pairwise import both_orders_answered
from judges.judging.reward_model import rewards_into
from judges.judging.win_rate import WinRate, win_rate
from records import Comparison, Judgment, Pair, Prompt, Response, Store
from records.rows import Row
from records.runs import Run
from records.store import write_atomic, write_rows
from trainer.monitors.kl import KL, AnswerLikelihood, kl_of, likelihoods_into
from trainer.reward_model.accuracy import figures, measure
from trainer.rlp.annotator import open_annotator
from trainer.rlp.gather import labels_of, load_reward_model, sampling_of
from trainer.rlp.preferences import contests_of
from trainer.rlp.recipe import AnnotatorOptions, Config, EvalOptions, SampleOptions
from trainer.rlp.stages import reward_figures
from trainer.runs.models import open_model, open_reader

POLICIES = (1, 2, 3)
REWARD_MODELS = (1, 3)


class PolicyFigures(Row, frozen=True, kw_only=True):
    """One policy on the held-out prompts."""

    id: str
    """`iterN`."""
    n_answers: int
    mean_chars: float | None
    rewards: dict[str, float | None]
    """The mean reward of its answers by each reward model, named by its iteration."""
    n_unscored: dict[str, int]
    """Answers without a reward, by the same names."""
    kl: KL | None
    """KL to iter1 on the policy's samples. None for iter1 itself."""
    win_rate: WinRate | None
    """Win rate against iter1 by the annotator. None for iter1 itself, or if the annotator is not asked."""


class RewardModelFigures(Row, frozen=True, kw_only=True):
    """The accuracy of one reward model against the annotator's preferences."""

    id: str
    """`iterN`, the iteration that it belongs to."""
    held_out: dict[str, Cell]
    """On the held-out preferences: the columns of trainer.reward_model.accuracy."""
    on_policy: dict[str, dict[str, Cell]]
    """On two samples of each policy per prompt. Empty if the annotator is not asked."""


class Evaluation(Row, frozen=True, kw_only=True):
    """All figures of a finished run."""

    annotator: str | None
    """The fingerprint of the judge that labels, or None if it is not asked."""
    policies: list[PolicyFigures]
    reward_models: list[RewardModelFigures]


@dataclass(frozen=True)
class Labels:
    """The annotator's verdicts."""

    annotator: str
    win_rates: dict[int, WinRate]
    pairs: dict[int, list[Pair]]
    """Two samples of each policy per prompt, the preferred one chosen. Ties and missing verdicts make no pair."""


def evaluate(run: Run, prompts: Sequence[Prompt], config: Config) -> Evaluation:
    """Return all figures and write eval/evaluation.json, loading one model at a time."""
    done = run.folder / "eval" / "evaluation.json"
    if done.exists():
        return msgspec.json.decode(done.read_bytes(), type=Evaluation)
    write_rows(_path(run, "prompts"), prompts)
    answers, samples, likelihoods = {}, {}, {}
    for number in POLICIES:
        engine = open_model(run, number, config.engine)
        answers[number] = _answers(run, f"iter{number}", engine, prompts, config.eval, config.seed)
        samples[number] = _samples(run, f"iter{number}_samples", engine, prompts, config.samples, config.seed)
        # while the policy is loaded; iter1 reads the same samples later
        reader = engine if isinstance(engine, TransformersEngine) else None
        del engine
        if number > 1:
            likelihoods[number] = _likelihoods(run, reader or open_reader(run, number, config.engine), samples[number])
        del reader
        gc.collect()
    kl = _kl(run, samples, likelihoods, config.engine)
    labels = _labels(run, answers, samples, prompts, config.annotator, config.seed) if config.eval.judged else None
    rewards, accuracies = {}, []
    for number in REWARD_MODELS:
        rewards[number], accuracy = _by_reward_model(run, number, answers, labels, config.engine, config.seed)
        accuracies.append(accuracy)
    policies = [_policy(number, answers[number], rewards, kl.get(number), labels) for number in POLICIES]
    evaluation = Evaluation(annotator=labels.annotator if labels else None, policies=policies, reward_models=accuracies)
    write_atomic(done, msgspec.json.format(msgspec.json.encode(evaluation)))
    return evaluation


def _answers(
    run: Run, name: str, engine: Engine, prompts: Sequence[Prompt], options: EvalOptions, seed: int
) -> list[Response]:
    with Store(_path(run, name), Response) as store:
        sampling = sampling_of(options)
        return answer_into(store, engine, prompts, sampling, seed=seed, title=f"{name} held-out answers")


def _samples(
    run: Run, name: str, engine: Engine, prompts: Sequence[Prompt], options: SampleOptions, seed: int
) -> list[Response]:
    with Store(_path(run, name), Response) as store:
        sampling = sampling_of(options)
        return answer_into(store, engine, prompts, sampling, n=2, seed=seed, title=f"held-out {name}")


def _likelihoods(run: Run, engine: TransformersEngine, samples: Sequence[Response]) -> list[AnswerLikelihood]:
    with Store(_path(run, "likelihoods"), AnswerLikelihood) as store:
        return likelihoods_into(store, engine, samples, f"{engine.name} likelihoods")


def _kl(
    run: Run, samples: dict[int, list[Response]], likelihoods: dict[int, list[AnswerLikelihood]], options: EngineOptions
) -> dict[int, KL | None]:
    engine = open_reader(run, 1, options)
    return {
        number: kl_of(likelihoods[number], _likelihoods(run, engine, samples[number]))
        for number in POLICIES
        if number > 1
    }


def _labels(
    run: Run,
    answers: dict[int, list[Response]],
    samples: dict[int, list[Response]],
    prompts: Sequence[Prompt],
    options: AnnotatorOptions,
    seed: int,
) -> Labels:
    annotator = open_annotator(run, options, prompts, seed)
    base = {answer.prompt_id: answer for answer in answers[1]}
    win_rates, pairs = {}, {}
    with Store(_path(run, "comparisons"), Comparison, keep=both_orders_answered) as store:
        for number in POLICIES:
            if number > 1:
                others = [answer for answer in answers[number] if answer.prompt_id in base]
                contests = [contest_of(base[answer.prompt_id], answer) for answer in others]
                win_rates[number] = win_rate(annotator.compare(store, contests, f"iter{number} against iter1"))
            two = contests_of(samples[number])
            pairs[number] = labels_of(annotator.compare(store, two, f"labels on iter{number}"), options)
    return Labels(annotator=annotator.fingerprint, win_rates=win_rates, pairs=pairs)


def _by_reward_model(
    run: Run, number: int, answers: dict[int, list[Response]], labels: Labels | None, options: EngineOptions, seed: int
) -> tuple[dict[int, list[Judgment]], RewardModelFigures]:
    """Return the rewards of all answers by the reward model of iteration `number`, and its own figures."""
    model = load_reward_model(run, number, options)
    with Store(_path(run, "rewards"), Judgment) as store:
        rewards = {
            policy: rewards_into(store, model, given, f"iter{number} rewards of iter{policy}")
            for policy, given in answers.items()
        }
    on_policy: dict[str, dict[str, Cell]] = {}
    for policy, pairs in (labels.pairs if labels else {}).items():
        on_policy[f"iter{policy}"] = figures(measure(model, pairs, seed))
    accuracy = RewardModelFigures(id=f"iter{number}", held_out=reward_figures(run, number), on_policy=on_policy)
    return rewards, accuracy


def _policy(
    number: int,
    answers: Sequence[Response],
    rewards: dict[int, dict[int, list[Judgment]]],
    kl: KL | None,
    labels: Labels | None,
) -> PolicyFigures:
    scores = {model: [judgment.score for judgment in rewards[model][number]] for model in REWARD_MODELS}
    known = {model: [score for score in scores[model] if score is not None] for model in REWARD_MODELS}
    return PolicyFigures(
        id=f"iter{number}",
        n_answers=len(answers),
        mean_chars=fmean(len(answer.response) for answer in answers) if answers else None,
        rewards={f"iter{model}": fmean(known[model]) if known[model] else None for model in REWARD_MODELS},
        n_unscored={f"iter{model}": len(scores[model]) - len(known[model]) for model in REWARD_MODELS},
        kl=kl,
        win_rate=labels.win_rates.get(number) if labels else None,
    )


def _path(run: Run, name: str) -> Path:
    return run.folder / "eval" / f"{name}.jsonl"
