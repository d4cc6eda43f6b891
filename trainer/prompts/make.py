"""Makes new prompts from seeds and the settings of the command."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from console.errors import InputError
from console.output import tell_plan
from console.progress import progress
from engines.options import check_engine, open_engine, pinned
from records import Prompt, Store, read_rows
from records.files import BadRows
from records.keys import content_key
from records.rows import request_text
from records.runs import ITERATION, find_run
from records.shapes import read_prompts
from records.store import latest, set_aside, write_rows
from trainer.prompts.contamination import EvaluationPrompts
from trainer.prompts.filters import check_filters
from trainer.prompts.generate import fill_pool, question
from trainer.prompts.options import Config, check_few_shot
from trainer.prompts.pool import Draft, Pool
from trainer.prompts.report import Report, finished, print_report, report_path, write_report
from trainer.prompts.seeds.reading import seed_prompts


@dataclass(frozen=True)
class Sources:
    """The texts that new prompts are made from and must differ from."""

    seeds: list[str]
    shown: list[str]
    """The seeds short enough to show to the model, of one turn each."""
    used: list[str]
    evaluation: list[str]


def make_prompts(config: Config) -> None:
    """Read, ask, filter, store and print the counts of the tasks."""
    config = replace(config, engine=pinned(config.engine))
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
    """Return the texts of all files. Raises InputError if a file has no prompt."""
    prompts = seed_prompts(config.file, strict=config.strict)
    seeds = [request_text(prompt.prompt) for prompt in prompts]
    shown = [text for prompt, text in zip(prompts, seeds, strict=True) if _can_be_shown(prompt, text, config)]
    rounds, held_out = _of_run(config)
    used = _texts([*config.exclude, *rounds], config)
    return Sources(seeds, shown, used, _texts([*config.against, *held_out], config))


def _can_be_shown(prompt: Prompt, text: str, config: Config) -> bool:
    turns = [] if isinstance(prompt.prompt, str) else [turn for turn in prompt.prompt if turn["role"] != "system"]
    one_turn = len(turns) < 2
    return one_turn and len(text.split()) <= config.filters.max_words


def _texts(sources: list[str], config: Config) -> list[str]:
    return [
        request_text(prompt.prompt)
        for source in sources
        for prompt in read_prompts(source, BadRows(strict=config.strict))
    ]


def _of_run(config: Config) -> tuple[list[str], list[str]]:
    """Return the files of the run's used prompts and the file of its held-out ones."""
    if config.engine.run is None and not ITERATION.fullmatch(config.engine.model):
        return [], []
    folder = find_run(config.engine.run)
    rounds = [folder.iteration(number) / "prompts.jsonl" for number in folder.iterations()]
    held_out = folder.folder / "eval" / "prompts.jsonl"
    return [str(path) for path in rounds if path.exists()], [str(held_out)] if held_out.exists() else []


def _filled(config: Config, sources: Sources) -> Pool:
    """Return the pool filled with the model's tasks, new or stored."""
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
    """Yield the completions in `path` in the order of their batches, which may differ from that of the file."""
    if not path.exists():
        raise InputError(f"{path}: no completions to filter again; leave out --refilter")
    return iter(sorted(latest(read_rows(path, Draft)), key=lambda draft: (draft.batch, draft.number)))


def _settings(config: Config, sources: Sources) -> dict[str, Any]:
    """Return the settings that decide which prompts are made. Files count by content, so an edited one differs."""
    texts = {"seeds": sources.seeds, "exclude": sources.used, "against": sources.evaluation}
    return {
        "seeds": str(config.file or "packaged"),
        **{f"{name} digest": content_key(texts_of_file) for name, texts_of_file in texts.items()},
        "model": config.engine.model,
        "n": config.n,
        "seed": config.seed,
        "exclude": list(config.exclude),
        "against": list(config.against),
        **asdict(config.few_shot),
        **asdict(config.filters),
    }


def _print_plan(config: Config, sources: Sources) -> None:
    if not config.refilter:
        check_engine(config.engine)
    few_shot = config.few_shot
    counts = {"seeds": len(sources.seeds), "shown": len(sources.shown), "used": len(sources.used)}
    plan = {"model": config.engine.model, "n": config.n, **counts, "evaluation": len(sources.evaluation)}
    tell_plan(
        plan | {"out": config.out},
        f"would ask {config.engine.model} for {few_shot.tasks} tasks per completion, {few_shot.completions} "
        f"completions per batch, until {config.n} are new, into {config.out}",
        f"{len(sources.seeds)} seeds ({len(sources.shown)} can be shown), {len(sources.used)} prompts used before, "
        f"{len(sources.evaluation)} evaluation prompts",
        as_json=config.json,
        prompt=question(sources.shown, [], few_shot, config.seed).messages[0]["content"],
    )
