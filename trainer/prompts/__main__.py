"""Make new prompts: a model goes on with lists of tasks, and what is new and fit is kept (Self-Instruct).

python -m trainer.prompts                                     64 packaged seeds, the packaged model
python -m trainer.prompts seed_tasks.jsonl --model meta-llama/Llama-2-70b-chat-hf --base-url http://localhost:8000/v1
python -m trainer.prompts seeds.jsonl --model iter2 --run mine --n 1000 --out runs/prompts/round3.jsonl
python -m trainer.prompts seeds.jsonl --exclude round1.jsonl round2.jsonl --against alpaca_eval.json held_out.jsonl
python -m trainer.prompts seeds.jsonl --out runs/prompts/round3.jsonl --refilter --max-rouge 0.6      asks no model

SEEDS has prompts that people wrote, in any format that judges.score reads. Every completion is kept beside the result,
so a stopped command goes on where it was, and --refilter filters the completions again.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from console.again import starts_again
from console.command import Flags, Given, run
from console.errors import InputError
from console.output import tell_plan
from console.ranges import Count
from console.writing import OutRows
from engines.options import EngineOptions, SharedEngineOptions, pinned
from trainer.prompts.options import FewShotOptions, FilterOptions

if TYPE_CHECKING:
    from records import Prompt
    from trainer.prompts.pool import Pool


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Make new prompts from seeds."""

    file: Given = None
    """Prompts that people wrote; the default is the packaged seeds."""
    engine: SharedEngineOptions = field(default_factory=EngineOptions)
    n: Count = 1000
    """New prompts to make."""
    few_shot: Annotated[FewShotOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=FewShotOptions)
    filters: Annotated[FilterOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=FilterOptions)
    exclude: tuple[str, ...] = ()
    """Files of prompts that earlier rounds used; those of the run that --run or --model iterN names are added."""
    against: tuple[str, ...] = ()
    """Files of evaluation prompts, which no new prompt may resemble; the run's held-out prompts are among them."""
    refilter: bool = False
    """Ask nothing: filter the completions of an earlier run with these settings."""
    out: OutRows = Path("runs/prompts/prompts.jsonl")
    """Where the prompts go, with .completions.jsonl and .report.json beside them."""


@dataclass(frozen=True)
class Sources:
    """The texts that new prompts are made from and must differ from."""

    seeds: list[str]
    shown: list[str]
    """The seeds that can be shown to the model: one turn, not too long."""
    used: list[str]
    evaluation: list[str]


@starts_again
def main(config: Config) -> None:
    """Read, ask, filter, store and print what became of the tasks."""
    config = replace(config, engine=pinned(config.engine))
    from records.store import set_aside, write_rows
    from trainer.prompts.filters import check_filters
    from trainer.prompts.options import check_few_shot
    from trainer.prompts.report import Report, finished, print_report, report_path, write_report

    if config.refilter and config.fresh:
        raise InputError("--refilter reads the completions that --fresh would set aside; give one of them")
    check_filters(config.filters)
    sources = read_sources(config)
    check_few_shot(config.few_shot, len(sources.shown))
    if config.dry_run:
        _print_plan(config, sources)
        return
    again = config.refilter or config.fresh
    settings = _settings(config, sources)
    report = None if again else finished(config.out, settings)
    if report is None:
        pool = _filled(config, sources)
        for path in (config.out, report_path(config.out)):
            set_aside(path)
        if pool.accepted:
            write_rows(config.out, pool.accepted)
        report = Report(out=str(config.out), n=config.n, counts=pool.counts, settings=settings)
        write_report(report)
    print_report(report, as_json=config.json)


def read_sources(config: Config) -> Sources:
    """Return the texts of all files; raises InputError where one has no prompt."""
    from records.rows import request_text
    from trainer.seeds.reading import seed_prompts

    prompts = seed_prompts(config.file, strict=config.strict)
    seeds = [request_text(prompt.prompt) for prompt in prompts]
    shown = [text for prompt, text in zip(prompts, seeds, strict=True) if _can_be_shown(prompt, text, config)]
    rounds, held_out = _of_run(config)
    used = _texts([*config.exclude, *rounds], config)
    return Sources(seeds, shown, used, _texts([*config.against, *held_out], config))


def _can_be_shown(prompt: "Prompt", text: str, config: Config) -> bool:
    turns = [] if isinstance(prompt.prompt, str) else [turn for turn in prompt.prompt if turn["role"] != "system"]
    one_turn = len(turns) < 2
    return one_turn and len(text.split()) <= config.filters.max_words


def _texts(sources: list[str], config: Config) -> list[str]:
    from records.files import BadRows
    from records.rows import request_text
    from records.shapes import read_prompts

    return [
        request_text(row.prompt) for source in sources for row in read_prompts(source, BadRows(strict=config.strict))
    ]


def _of_run(config: Config) -> tuple[list[str], list[str]]:
    """Return the files of the prompts that the run has used, and that of its held-out prompts."""
    from records.runs import ITERATION, find_run

    if config.engine.run is None and not ITERATION.fullmatch(config.engine.model):
        return [], []
    folder = find_run(config.engine.run)
    rounds = [folder.iteration(number) / "prompts.jsonl" for number in folder.iterations()]
    held_out = folder.folder / "eval" / "prompts.jsonl"
    return [str(path) for path in rounds if path.exists()], [str(held_out)] if held_out.exists() else []


def _filled(config: Config, sources: Sources) -> "Pool":
    """Return the pool with what the model wrote, or has written."""
    from console.progress import progress
    from engines.options import open_engine
    from records import Store
    from trainer.prompts.contamination import EvaluationPrompts
    from trainer.prompts.generate import fill_pool
    from trainer.prompts.pool import Draft, Pool

    evaluation = EvaluationPrompts(sources.evaluation, config.filters.max_rouge)
    pool = Pool(sources.seeds, sources.used, evaluation, config.filters, config.n)
    completions = _completions(config.out)
    if config.refilter:
        for draft in _stored(completions):
            pool.take(draft)
        return pool
    engine = open_engine(config.engine)
    with Store(completions, Draft, fresh=config.fresh) as store, progress("new prompts", config.n) as advance:
        fill_pool(pool, store, engine, sources.shown, config.few_shot, config.seed, advance)
    return pool


def _completions(out: Path) -> Path:
    return out.with_suffix(".completions.jsonl")


def _stored(path: Path) -> Iterator[Any]:
    """Yield the completions in `path` in the order of their batches, in which they need not have come."""
    from records import read_rows
    from records.store import latest
    from trainer.prompts.pool import Draft

    if not path.exists():
        raise InputError(f"{path}: no completions to filter again; leave out --refilter")
    return iter(sorted(latest(read_rows(path, Draft)), key=lambda draft: (draft.batch, draft.number)))


def _settings(config: Config, sources: Sources) -> dict[str, Any]:
    """Return what decides which prompts are made: a file that was edited is another one."""
    from records.keys import content_key

    texts = {"seeds": sources.seeds, "exclude": sources.used, "against": sources.evaluation}
    return {
        "seeds": str(config.file or "packaged"),
        **{f"{name} digest": content_key(found) for name, found in texts.items()},
        "model": config.engine.model,
        "n": config.n,
        "seed": config.seed,
        "exclude": list(config.exclude),
        "against": list(config.against),
        **asdict(config.few_shot),
        **asdict(config.filters),
    }


def _print_plan(config: Config, sources: Sources) -> None:
    from engines.options import check_engine
    from trainer.prompts.generate import question

    if not config.refilter:
        check_engine(config.engine)
    few_shot = config.few_shot
    counts = {"seeds": len(sources.seeds), "shown": len(sources.shown), "used": len(sources.used)}
    plan = {"model": config.engine.model, "n": config.n, **counts, "evaluation": len(sources.evaluation)}
    tell_plan(
        plan | {"out": config.out},
        f"would ask {config.engine.model} for {few_shot.tasks} tasks a completion, {few_shot.completions} completions "
        f"a batch, until {config.n} are new, into {config.out}",
        f"{len(sources.seeds)} seeds ({len(sources.shown)} can be shown), {len(sources.used)} prompts used before, "
        f"{len(sources.evaluation)} evaluation prompts",
        as_json=config.json,
        prompt=question(sources.shown, [], few_shot, config.seed).messages[0]["content"],
    )


if __name__ == "__main__":
    run(Config, main, "python -m trainer.prompts")
