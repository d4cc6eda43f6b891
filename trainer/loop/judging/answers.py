"""Judges answers as a loop's recipe says: by the model that wrote them, by another model, or by a panel."""

import gc
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from console.errors import InputError
from console.flags import about_judge
from console.progress import say
from engines.options import EngineOptions, beside_training, open_engine
from engines.protocol import Engine
from engines.served.openai_engine import OpenAIEngine
from judges.judging.judge import Judge, open_judge
from judges.judging.settle import settle
from judges.options import JudgeOptions, PanelOptions
from judges.panels.panel import Member, combine, panel_fingerprint
from judges.panels.rows import open_members
from judges.rubrics.rubric import load_rubric
from judges.tools.evidence import NO_MODEL, judge_checked_into, was_checked, with_tools
from judges.tools.options import EvidenceOptions
from judges.tools.scores import PairRule
from records import Judgment, Response, Store
from records.inputs import aside_of
from records.runs import Run
from records.stage import complete
from trainer.loop.judging.judges import is_of_run, is_parent, round_judges
from trainer.loop.plan.work import Lengths, Work, judging_work
from trainer.loop.recipe import Config
from trainer.runs.models import open_model

NO_TOOLS = EvidenceOptions()


@dataclass(frozen=True)
class RoundJudges:
    """The judges of the answers of an iteration: one with a given engine, or those that the recipe names."""

    run: Run
    number: int
    """The iteration that wrote the answers."""
    config: Config
    engine: Engine | None = None

    def judge(
        self,
        path: Path,
        responses: Sequence[Response],
        title: str,
        tools: EvidenceOptions = NO_TOOLS,
        *,
        pair_rule: PairRule | None = None,
        shared: bool = False,
    ) -> list[Judgment]:
        """Return the judgments of all `responses` in order, making those that `path` does not hold.

        With `pair_rule` answers to prompts that can give no pair by the evidence are not judged.

        A panel's judges run one after the other, each into a file beside `path`, and `path` gets the panel's rows.
        Raises InputError if `path` holds another judge's judgments and is not `shared` by several.
        """
        config = self.config
        if self.engine is not None:
            judge = open_judge(self.engine, config.judge, config.seed)
            return _by_one(path, responses, title, judge, tools, pair_rule, shared=shared)
        members = _members(self.run, self.number, config)
        if not shared and len(members) < len(config.panel.judge):
            say(f"{title}: {len(members)} of the panel's {len(config.panel.judge)} judges, because others are the same")
        judges = _opened(members, config.seed)
        if len(judges) > 1:
            return _by_panel(path, responses, title, judges, config.panel, shared=shared)
        judge = judges.popleft()  # taken out, so that nothing else holds its model
        return _by_one(path, responses, f"{title} by {judge.engine.name}", judge, tools, pair_rule, shared=shared)


def open_rewarding_judge(run: Run, number: int, config: Config, engine: Engine | None = None) -> Judge:
    """Open the judge of the answers of iteration `number` beside a training, which leaves no memory for vLLM.

    `engine` is the judge's, if it is given. Without evidence that asks a model none is loaded.
    """
    if engine is None and (members := _members(run, number, config)):
        return _opened(members, config.seed).popleft()
    if engine is None and not config.evidence.needs_model:
        engine = NO_MODEL
    engine = engine or open_model(run, number, replace(config.engine, engine="transformers"))
    return open_judge(engine, config.judge, config.seed)


def check_reached(run: Run, config: Config) -> None:
    """Raise InputError or EngineError if a judge of the rounds cannot be had, before hours of training.

    Models of the hub are fetched. Of the run's own models only iter0 is there already.
    """
    there = {
        word: (options, settings)
        for word, (options, settings) in _members(run, 1, config).items()
        if options.run != str(run.folder) or options.model == "iter0"
    }
    with about_judge():
        for judge in _opened(there, config.seed):
            if isinstance(judge.engine, OpenAIEngine):
                judge.engine.check_reached()


def round_judging_work(
    title: str, number: int, n: int, lengths: Lengths, config: Config, row: str = ""
) -> Iterator[Work]:
    """Yield the work of judging `n` answers of iteration `number`, judge by judge, called as its progress.

    `row` is the start of the plan's row that has this work of all iterations.
    """
    judges = round_judges(config.judge, config.panel)
    if not judges:
        yield judging_work(title, n, load_rubric(config.judge.rubric), config.judge, lengths)
    counted: list[tuple[str, JudgeOptions]] = []
    for options, settings in judges:
        name = f"iter{number}" if is_parent(options) else options.model
        if (name, settings) in counted:  # in the first round the parent is iter1
            continue
        counted.append((name, settings))
        work = judging_work(f"{title} by {name}", n, load_rubric(settings.rubric), settings, lengths)
        yield replace(work, is_own=is_of_run(options), row=row and f"{row} by {options.model}")


def _members(run: Run, number: int, config: Config) -> dict[str, Member]:
    """Return the judges of the answers of iteration `number` by their names in the recipe, each model once."""
    names = config.panel.judge or (config.judge.engine.model,)
    members: dict[str, Member] = {}
    # not strict: the parent alone is a name without an entry among the judges
    for name, (options, settings) in zip(names, round_judges(config.judge, config.panel), strict=False):
        member = beside_training(_resolved(options, run, number, config.engine)), settings
        if member not in members.values():  # in the first round the parent is iter1
            members[name] = member
    return members


def _opened(members: dict[str, Member], seed: int) -> deque[Judge]:
    """Return the judges in order. Take each out in its turn, so that its model can be freed."""
    if len(members) == 1:
        [(options, settings)] = members.values()
        return deque([open_judge(open_engine(options), settings, seed)])
    return open_members(list(members.values()), list(members), seed)


def _resolved(options: EngineOptions, run: Run, number: int, of_run: EngineOptions) -> EngineOptions:
    """Return the settings of a judge with its model, if it is one of the run's own, by its iteration."""
    if not is_of_run(options):
        return options
    model = f"iter{number}" if is_parent(options) else options.model
    variables = options.chat_template_kwargs or of_run.chat_template_kwargs
    return replace(options, model=model, run=str(run.folder), chat_template_kwargs=variables)


def _by_panel(
    path: Path, responses: Sequence[Response], title: str, judges: deque[Judge], panel: PanelOptions, *, shared: bool
) -> list[Judgment]:
    fingerprints, rubric = [judge.fingerprint for judge in judges], judges[0].rubric
    quorum = panel.quorum and min(panel.quorum, len(judges))
    with Store(path, Judgment) as store:
        if not shared:
            keep_to(store, panel_fingerprint(fingerprints, panel.panel_rule, quorum))
        columns = []
        while judges:
            columns.append(_by_member(path, responses, title, judges.popleft()))
            gc.collect()  # the next judge needs the memory
        units = zip(*columns, strict=True)
        rows = [combine(unit, fingerprints, panel.panel_rule, quorum, rubric) for unit in units]
        return complete(store, [row.id for row in rows], (row for row in rows if row.id not in store), title)


def _by_member(path: Path, responses: Sequence[Response], title: str, judge: Judge) -> list[Judgment]:
    # The name has the judge's fingerprint, so that the file has no other judge's rows.
    own_path = path.with_name(f"{path.stem}-{judge.fingerprint}{path.suffix}")
    return _by_one(own_path, responses, f"{title} by {judge.engine.name}", judge, NO_TOOLS, shared=True)


def _by_one(
    path: Path,
    responses: Sequence[Response],
    title: str,
    judge: Judge,
    tools: EvidenceOptions,
    pair_rule: PairRule | None = None,
    *,
    shared: bool,
) -> list[Judgment]:
    judge, agent = with_tools(judge, tools)
    with Store(path, Judgment, keep=was_checked) as store:
        if not shared:
            # before the fingerprint is compared, which it may change
            settle(judge, store, lambda: judge.request(responses[0]))
            keep_to(store, judge.fingerprint)
        return judge_checked_into(store, judge, agent, responses, title, pair_rule=pair_rule)


def keep_to(store: Store[Judgment], fingerprint: str) -> None:
    """Raise InputError if `store` holds judgments of another judge, because a round's scores must be comparable.

    Rows on empty answers cost nothing and move aside. They are stored before a server is first asked, and the server
    may then refuse a setting, which changes the judge's fingerprint.
    """
    others = [judgment for judgment in store.latest() if judgment.judge != fingerprint]
    if asked := sorted({judgment.judge for judgment in others if judgment.usage.n_calls}):
        raise InputError(
            f"{store.path}: holds judgments of another judge ({', '.join(asked[:3])}; this one is {fingerprint}): its "
            "model, server, rubric or tools have changed since. Restore them, or move the file away to judge anew"
        )
    if others:
        store.move_out([judgment.id for judgment in others], aside_of(store.path))
