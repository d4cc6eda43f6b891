"""The output of a loop: its plan before the run, its table and files after it."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from console.output import tell, tell_json
from console.progress import say
from console.table import Cell, print_table
from engines.models import resolve_model
from judges.judging.pairwise import say_flips
from records.runs import Run
from trainer.loop.measure import IterationFigures
from trainer.loop.plan.estimate import estimate, table_of, too_large
from trainer.loop.plan.model_size import model_size
from trainer.loop.plan.probe import probe
from trainer.loop.plan.workload import loop_work
from trainer.loop.recipe import Config
from trainer.loop.rounds import judging_chats
from trainer.run.ledger import LedgerLine
from trainer.seeds.reading import ift_chats, seed_prompts


def print_report(run: Run, config: Config, lines: dict[str, LedgerLine], measured: list[IterationFigures]) -> None:
    """Print a row per iteration, where the files are, and what to do next; with --json only the rows."""
    say_flips({f"iter{figures.iteration} against iter0": figures.win_rate for figures in measured})
    if config.json:
        tell_json(msgspec.json.encode({"ledger": list(lines.values()), "held_out": measured}))
        return
    print_table([_row(figures, lines.get(f"iter{figures.iteration}")) for figures in measured])
    tell(
        "",
        "prompts, pairs and unscored: what the iteration learnt from.",
        "mean score, chars, and win rate against iter0:",
        f"on {measured[0].n_prompts} held-out prompts, judged by iter{config.eval.judge}.",
        "win rate: both orders, with its 95% interval; flipped: they named different winners.",
    )
    if cut := lengths_of(list(lines.values())):
        tell("", *cut)
    tell("", "files:")
    for line in _files(run):
        tell(f"  {line}")
    commands = ("tui", "judges.score", f"evals.alpaca --model iter{config.iterations}")
    tell("", "next:", *(f"  {_python()} -m {command}" for command in commands))


def lengths_of(lines: Sequence[LedgerLine]) -> list[str]:
    """Return a line for each iteration with cut-off answers or with examples too long to learn from."""
    notes = []
    for line in lines:
        parts = []
        if n := line.counts.get("cut_off"):
            parts.append(f"{n} of {line.counts['responses']} answers cut off")
        if n_left_out := line.training.get("left_out"):
            parts.append(f"{n_left_out:g} examples left out, over max_length")
        if parts:
            notes.append(f"{line.id}: {'; '.join(parts)}")
    return notes


def print_plan(run: Run, config: Config) -> None:
    """Print the work of a run stage by stage, with time and memory from a short measurement or by formula."""
    prompts = seed_prompts(config.seeds.prompts)
    chats = [*ift_chats(config.seeds.ift, config.seeds.codes), *judging_chats(config.seeds, config.judge, config.seed)]
    works, model, options = loop_work(config, prompts, chats), config.engine.model, config.estimate
    if options.gpus:
        size = model_size(options.size or resolve_model(model, config.engine.run))
        stages, how = estimate(works, size=size, hardware=options), f"by formula for {options.gpus} GPUs"
    elif options.measure:
        speeds = probe(resolve_model(model, config.engine.run), config, prompts, chats)
        stages, how = estimate(works, speeds=speeds), "from a short measurement on this machine"
    else:
        stages, how = estimate(works), "calls and tokens only"
    if not config.json:
        tell(f"would run {config.iterations} iterations of {model} in {run.folder}; {how}", "")
    print_table(table_of(stages), as_json=config.json)
    if options.gpus and (problem := too_large(stages, options)):
        say(problem)


def _row(figures: IterationFigures, line: LedgerLine | None) -> dict[str, Cell]:
    counts = line.counts if line else {}
    return {
        "iteration": f"iter{figures.iteration}",
        "prompts": counts.get("prompts"),
        "pairs": counts.get("pairs"),
        "unscored": counts.get("unparsed"),
        "mean score": figures.mean_score,
        "chars": round(figures.mean_chars),
        "win rate, %": "-" if figures.win_rate is None else str(figures.win_rate),
        "flipped, %": None if figures.win_rate is None else figures.win_rate.flipped_percent,
        "seconds": round(line.seconds) if line else None,
    }


def _python() -> str:
    """Return the command for this Python, because the environment of `make demo` is not on a new user's path."""
    if shutil.which("python") == sys.executable:
        return "python"
    executable = Path(sys.executable)
    return str(executable.relative_to(Path.cwd()) if executable.is_relative_to(Path.cwd()) else executable)


def _files(run: Run) -> list[str]:
    lines = [f"{run.config}  {run.ledger}"]
    for number in run.iterations():
        names = [path.name for path in sorted(run.iteration(number).iterdir())]
        lines.append(f"{run.iteration(number)}/  {' '.join(names)}")
    lines.append(f"{run.folder / 'eval'}/  {' '.join(path.name for path in sorted((run.folder / 'eval').iterdir()))}")
    return lines
