"""Opens the judges to serve: their engines, rubrics, tools and the files of their verdicts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from console.errors import InputError
from console.output import say
from engines.options import open_engine, pinned
from engines.protocol import Choice, Completion
from engines.reward_model import AnyRewardModel
from judges.judging.judge import Judge, has_every_reply, judge_with, open_judge, request
from judges.judging.pairwise import both_orders_answered
from judges.judging.reward_model import fingerprint, open_reward_model, reward_folder
from judges.options import OF_CHOICES
from judges.panels.panel import members
from judges.panels.rows import check_panel
from judges.serve.bench import Bench, Desk, Making
from judges.serve.decisions import rubric_for
from judges.serve.metrics import Metrics
from judges.serve.options import Config
from judges.serve.verdicts import Turns
from judges.tools.evidence import NO_MODEL, open_checked_judge, was_checked, with_tools
from judges.tools.options import check_options, say_unused
from records import Comparison, Judgment, Store

if TYPE_CHECKING:
    from judges.tools.agent import Agent

RowT = TypeVar("RowT", Judgment, Comparison)


@dataclass(frozen=True)
class Opened:
    """One judge before its files are open."""

    name: str
    """The model."""
    scorer: Judge | None = None
    agent: Agent | None = None
    """Gathers the evidence on each answer that is scored."""
    comparer: Judge | None = None
    decider: Judge | None = None
    rewards: AnyRewardModel | None = None
    """The reward model, if it is one. There is no judge then."""

    @property
    def asked(self) -> Judge | None:
        """Return one of its judges that asks the model something. They share the engine."""
        judges = (self.scorer, self.comparer, self.decider)
        return next((judge for judge in judges if judge is not None and judge.is_asked), None)


def opened(config: Config) -> list[Opened]:
    """Return the judges that the flags describe, their models not loaded. Raises InputError or EngineError."""
    say_unused(config.evidence, config.engine, config.judge)
    if config.evidence.enabled:
        check_options(config.evidence)
    config = replace(config, engine=pinned(config.engine))
    panel = members(config.panel, config.engine, config.judge)
    if panel:
        check_panel(None, batch=False, tools=config.evidence.enabled)
        return [_opened(replace(config, engine=pinned(engine), judge=judge)) for engine, judge in panel]
    if (folder := reward_folder(config.engine)) is not None:
        engine = config.engine
        model = open_reward_model(folder, engine.model, engine)
        return [Opened(engine.model, rewards=model)]
    return [_opened(config)]


def _opened(config: Config) -> Opened:
    engine = open_engine(config.engine) if config.evidence.needs_model else NO_MODEL
    judge = open_judge(engine, config.judge, config.seed)
    decider = replace(judge, rubric=rubric_for(("predicate", 2)), calibration=None)
    if not config.evidence.needs_model:
        return Opened("constraints", *open_checked_judge(judge, config.evidence))
    if judge.rubric.kind == "pair":
        if config.evidence.enabled:
            raise InputError(f"the rubric '{judge.rubric.name}' compares two answers, and tools check one")
        return Opened(judge.engine.name, comparer=judge, decider=decider)
    comparer = judge_with(judge.engine, replace(config.judge, rubric=config.pair_rubric, calibration=None), config.seed)
    if comparer.rubric.kind != "pair":
        raise InputError(f"--pair-rubric {config.pair_rubric}: it scores one answer; give one such as pairwise")
    return Opened(judge.engine.name, *with_tools(judge, config.evidence), comparer, decider)


def bench_of(config: Config, judges: Sequence[Opened], metrics: Metrics, stack: ExitStack) -> Bench:
    """Return the bench of opened judges. Their files and threads are closed with `stack`.

    Raises StoreError if another process has one of the files open.
    """
    desks: list[Desk] = []
    for judge in judges:
        executor = ThreadPoolExecutor(1, "engine")
        stack.callback(executor.shutdown, cancel_futures=True)
        desks.append(
            _desk(
                _unlike(judge, judges[: len(desks)]),
                Making(Turns(executor), metrics, config.limits.batch),
                config,
                stack,
            )
        )
    scorer = judges[0].scorer
    return Bench(judges[0].name, desks, config.panel, scorer.rubric if scorer else None, metrics)


def _unlike(judge: Opened, before: Sequence[Opened]) -> Opened:
    """Return `judge` without the uses in which it is the same as one `before`: two rubrics score apart, and only score.

    The same judge twice would have two votes.
    """
    comparers = [other.comparer.fingerprint for other in before if other.comparer is not None]
    deciders = [other.decider.fingerprint for other in before if other.decider is not None]
    return replace(
        judge,
        comparer=None if judge.comparer is None or judge.comparer.fingerprint in comparers else judge.comparer,
        decider=None if judge.decider is None or judge.decider.fingerprint in deciders else judge.decider,
    )


def _desk(judge: Opened, making: Making, config: Config, stack: ExitStack) -> Desk:
    def store(name: str, key: str, kind: type[RowT], keep: Callable[[RowT], bool]) -> Store[RowT]:
        return stack.enter_context(Store(config.out / f"{name}-{key}.jsonl", kind, keep=keep, fresh=config.fresh))

    desk = Desk(making)
    if judge.rewards is not None:
        rewards = store("rewards", fingerprint(judge.rewards), Judgment, lambda _: True)
        desk.scores = making.rewards(judge.rewards, rewards)
    if judge.scorer is not None:
        scores = store("scores", judge.scorer.fingerprint, Judgment, was_checked)
        desk.scores = making.scores(judge.scorer, judge.agent, scores)
    if judge.comparer is not None:
        pairs = store("comparisons", judge.comparer.fingerprint, Comparison, both_orders_answered)
        desk.pairs = making.pairs(judge.comparer, pairs)
    if judge.decider is not None:
        desk.decider = judge.decider
        desk.decisions = store("decisions", judge.decider.fingerprint, Judgment, has_every_reply)
    return desk


def first_question(judge: Judge) -> None:
    """Ask one question, so that the model is loaded, or its server found to answer, before any caller comes.

    A server's refusals of settings are learnt from it too. Raises EngineError.
    """
    texts = dict.fromkeys(("prompt", "response", "response_a", "response_b", "reference", "judged"), "Hello.")
    question = request(judge, texts, "first", 0)
    answer: Choice | Completion
    if judge.read in OF_CHOICES:
        [answer] = judge.engine.choose([question], judge.rubric.logprobs.choices)
    else:
        [answer] = judge.engine.generate([question], judge.sampling)
    if answer.error:
        say(f"{judge.engine.name}: the first question got no answer: {answer.error}")
