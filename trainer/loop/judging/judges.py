"""The judges of a loop's rounds: the parent, another model, or a panel. Checks that they fit the recipe and exist."""

from dataclasses import fields
from typing import Any, TypeVar

from console.address import shown
from console.errors import InputError
from console.flags import about_judge
from engines.options import EngineOptions, check_engine, is_iteration, is_served, open_engine
from judges.options import JudgeOptions, PanelOptions, check_reading
from judges.panels.panel import SERVED, Member, member_named, members
from judges.rubrics.checked import checked_rubric
from judges.rubrics.rubric import Rubric, load_rubric
from records.runs import ITERATION
from trainer.loop.recipe import PARENT, RoundEngineOptions, RoundJudgeOptions
from trainer.ppo.rewards import check_beside_training

OptionsT = TypeVar("OptionsT", EngineOptions, JudgeOptions)


def round_judges(judge: RoundJudgeOptions, panel: PanelOptions) -> list[Member]:
    """Return the engine and the settings of each judge of a round. The list is empty if the parent alone judges.

    Raises InputError as `judges.panels.panel.members` does.
    """
    engine, settings = _plain(EngineOptions, judge.engine), _plain(JudgeOptions, judge)
    if panel.judge:
        return members(panel, engine, settings)
    if engine.model == PARENT:
        return []
    has_own_settings = engine.model.endswith(".toml") or SERVED.fullmatch(engine.model)
    return [member_named(engine.model, engine, settings) if has_own_settings else (engine, settings)]


def is_of_run(options: EngineOptions) -> bool:
    """Return whether a judge is a model of the run itself: the parent, or iterN without the name of another run."""
    return is_parent(options) or (options.run is None and is_iteration(options))


def is_parent(options: EngineOptions) -> bool:
    """Return whether a judge is the model that wrote the answers."""
    return options.model == PARENT and not is_served(options)


def judges_named(judge: RoundJudgeOptions, panel: PanelOptions) -> str:
    """Return the judges in words, for the plan of a run. Secrets in addresses are hidden."""
    if panel.judge:
        return f"a panel of {', '.join(map(shown, panel.judge))}"
    where = f" at {shown(judge.engine.base_url)}" if judge.engine.base_url else ""
    return f"{shown(judge.engine.model)}{where}"


def check_judges(
    judge: RoundJudgeOptions, panel: PanelOptions, *, tools: bool, meta: bool, planned: bool, beside: bool = False
) -> None:
    """Raise InputError if the judges of the rounds do not fit together, or one does not exist.

    `tools` and `meta` tell whether the recipe has evidence and pairs of judgments. No server is asked. If the run is
    only `planned`, a hub that cannot be reached is told. `beside` tells whether they judge while a model is trained.
    """
    if judge.read == "decisions":
        raise InputError("--judge.read decisions: the iterations are judged in this process, which has no endpoint")
    if judge.calibration is not None:
        raise InputError(
            "--judge.calibration is of one model, and these settings are also for the run's own models, which change "
            "with each round: put it into the TOML file of a judge that stays, and name that with --judge.engine.model"
        )
    if panel.judge and judge.engine.model != PARENT:
        raise InputError(
            f"--judge.engine.model {shown(judge.engine.model)} and a panel both name who judges: leave out that model, "
            "or every --judge"
        )
    if not panel.judge and judge.engine.model == PARENT and judge.engine != RoundEngineOptions():
        raise InputError(
            "the parent judges by the settings of [engine]: name another model with --judge.engine.model, or leave out "
            "the rest of [judge.engine]"
        )
    if not panel.judge and panel != PanelOptions():
        raise InputError("--quorum and --panel-rule are for a panel: name its judges with --judge, once for each")
    with about_judge():
        judges = round_judges(judge, panel)
    if judges and meta:
        raise InputError(
            "--round.meta learns from the model's own judgments, and these are another judge's: leave out --round.meta "
            "or the other judge"
        )
    if len(judges) > 1 and tools:
        raise InputError("a panel has no tools: leave out [evidence], or name one judge with --judge.engine.model")
    flags = [f"--judge {shown(word)}" for word in panel.judge] or [f"--judge.engine.model {shown(judge.engine.model)}"]
    for flag, (engine, settings) in zip(flags, judges, strict=False):  # no judge to a flag, if the parent judges
        _check_judge(engine, settings, load_rubric(judge.rubric), flag, planned=planned)
        if beside:
            check_beside_training(engine, "--judge.engine")


def _check_judge(engine: EngineOptions, settings: JudgeOptions, of_eval: Rubric, flag: str, *, planned: bool) -> None:
    rubric = checked_rubric(settings)
    check_reading(engine, settings)
    if rubric.kind != "score":
        raise InputError(f"{flag}: the rubric {rubric.name} compares two answers, and a round needs scores")
    if rubric.scale != of_eval.scale:  # the monitor `inflation` is a difference of the two
        raise InputError(
            f"{flag}: its rubric {rubric.name} has another scale than --judge.rubric {of_eval.name}, by which the "
            "iterations are measured: give one of the same scale"
        )
    if settings.calibration is not None and is_of_run(engine):
        raise InputError(f"{flag}: its calibration is of one model, and a run judges with a new one each round")
    if not is_of_run(engine):
        with about_judge():
            # a served engine is opened because that asks nothing; a local one would load its weights
            open_engine(engine) if is_served(engine) else check_engine(engine, planned=planned)
    elif (match := ITERATION.fullmatch(engine.model)) and int(match[1]) > 1:
        raise InputError(
            f"{flag}: {engine.model} does not exist yet when the first round is judged: give iter0, iter1 or parent, "
            "or an iteration of another run with --judge.engine.run"
        )


def _plain(kind: type[OptionsT], options: Any) -> OptionsT:
    # without the subclass's own fields, so that equal settings of two classes are equal
    return kind(**{setting.name: getattr(options, setting.name) for setting in fields(kind)})
