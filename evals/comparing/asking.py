"""The two questions of an evaluation, stored so that none is asked twice: a model's answers, and a judge's verdicts."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from console.progress import say
from engines.answers import answer_into, check_said, say_unanswered, unwritten
from engines.candidates.shards import answering
from engines.options import EngineOptions
from engines.protocol import Engine, Sampling
from engines.shards.options import ScaleOptions, WorkerOptions
from engines.shards.plan import Item
from engines.shards.share import fill_by_workers, take_in
from judges.judging.coverage import say_little_mass
from judges.judging.judge import Judge
from judges.judging.pairwise import Contest, both_orders_answered, compare_into, first_request
from judges.judging.settle import settle_shared
from judges.judging.shards import comparing, contest_items, judge_of
from judges.options import JudgeOptions
from records import Comparison, Prompt, Response, Store


@dataclass(frozen=True)
class Asking:
    """Settings that both questions share."""

    seed: int = 0
    fresh: bool = False
    """Set the stored rows aside first."""
    workers: WorkerOptions = field(default_factory=WorkerOptions)

    @property
    def scale(self) -> ScaleOptions:
        """The settings of the workers, who share a folder beside the rows."""
        return ScaleOptions(**asdict(self.workers))


def ask_answers(
    engine: Engine, options: EngineOptions, prompts: Sequence[Prompt], sampling: Sampling, path: Path, asking: Asking
) -> list[Response]:
    """Return the model's answers to `prompts`, without those that it cannot answer. They are stored in `path`.

    Worker processes open the model again by its `options`.
    """
    title = f"{engine.name} answering"
    with Store(path, Response, fresh=asking.fresh) as store:
        take_in(store, Response, fresh=asking.fresh)
        if not asking.workers.workers:
            return answer_into(store, engine, prompts, sampling, seed=asking.seed, title=title)
        empty = (unwritten(engine, prompt, sampling, asking.seed, 0, None) for prompt in prompts)
        items = [Item(row_id, row) for row_id, row in {row.id: row for row in empty}.items()]
        check_said(store, engine, [item.id for item in items])
        fill_by_workers(store, answering(options, engine, sampling), lambda: items, asking.scale, title)
        rows = list(store.chosen(item.id for item in items))
        say_unanswered(len(items) - len(rows), len(items), title)
        return rows


def ask_verdicts(
    judge: Judge,
    options: EngineOptions,
    judging: JudgeOptions,
    contests: Sequence[Contest],
    path: Path,
    asking: Asking,
) -> dict[str, Comparison]:
    """Return the verdicts on `contests`, in both orders, by their ids. They are stored in `path`, with other judges'.

    Worker processes open the judge again by its `options` and `judging`.
    """
    title = f"{judge.engine.name} comparing"
    with Store(path, Comparison, keep=both_orders_answered, fresh=asking.fresh) as store:
        take_in(store, Comparison, fresh=asking.fresh)
        if contests and not asking.fresh:
            # before the ids below: a server may say only with its first reply what it serves, and that changes the
            # fingerprint
            settle_shared(judge, store, lambda: first_request(judge, contests[0]))
        if asking.workers.workers:
            job = comparing(judge.fingerprint, "both", partial(judge_of, options, judging, asking.seed))
            items = list(contest_items(judge, iter(contests), "both"))
            fill_by_workers(store, job, lambda: items, asking.scale, title)
            rows = list(store.chosen(item.id for item in items))
        else:
            rows = compare_into(store, judge, contests, title)
    n_unanswered = sum(not both_orders_answered(row) for row in rows)
    if n_unanswered:
        what = f"{n_unanswered} of {len(rows)} comparisons lack an answer of the judge"
        say(f"{title}: {what}; the same command asks for it again")
    say_little_mass(rows, judge.engine.name)
    return {row.id: row for row in rows}
