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
from judges.intervals.bootstrap import Estimate
from judges.judging.win_rate import say_flips
from records.runs import Run
from trainer.loop.measure import IterationFigures
from trainer.loop.plan.estimate import estimate, table_of, too_large
from trainer.loop.plan.model_size import model_size
from trainer.loop.plan.probe import probe
from trainer.loop.plan.workload import loop_work
from trainer.loop.recipe import Config
from trainer.loop.rounds import judging_chats
from trainer.monitors.following import Following
from trainer.run.ledger import LedgerLine
from trainer.seeds.reading import ift_chats, seed_prompts


def print_report(run: Run, config: Config, lines: dict[str, LedgerLine], measured: list[IterationFigures]) -> None:
    """Print a row per iteration, where the files are, and what to do next; with --json only the rows."""
    say_flips({f"iter{figures.iteration} against iter0": figures.win_rate for figures in measured})
    if config.json:
        tell_json(msgspec.json.encode({"ledger": list(lines.values()), "held_out": measured}))
        return
    print_table([_row(figures, lines.get(f"iter{figures.iteration}"), config) for figures in measured])
    tell("", *_notes(config, measured[0]))
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


def _notes(config: Config, first: IterationFigures) -> list[str]:
    """Return what the rows of the table are."""
    notes = []
    if (following := first.following) is not None:
        notes += [
            "does what is asked: follows all constraints of its prompt, as a program checks them;",
            f"on {following.n_prompts} held-out prompts, {_times(config.eval.n, 'answer')} each.",
            "judge is right: its own score prefers the answer that does what is asked to one that",
            "does not, to the same prompt; a tie counts half. Intervals are 95%, over prompts.",
        ]
    notes += [
        "prompts, pairs and unscored: what the iteration learnt from.",
        f"mean score: of {first.n_prompts} held-out answers, judged by iter{config.eval.judge}.",
    ]
    if config.eval.compare:
        notes.append("win rate against iter0: both orders, with its 95% interval; flipped: they disagree.")
    return notes


def _times(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _row(figures: IterationFigures, line: LedgerLine | None, config: Config) -> dict[str, Cell]:
    counts, rate = line.counts if line else {}, figures.win_rate
    compared: dict[str, Cell] = {
        "win rate, %": "-" if rate is None else str(rate),
        "flipped, %": None if rate is None else rate.flipped_percent,
    }
    return {
        "iteration": f"iter{figures.iteration}",
        **_following_cells(figures.following),
        "prompts": counts.get("prompts"),
        "pairs": counts.get("pairs"),
        "unscored": counts.get("unparsed"),
        "mean score": figures.mean_score,
        "chars": round(figures.mean_chars),
        **(compared if config.eval.compare else {}),
        "seconds": round(line.seconds) if line else None,
    }


def _following_cells(following: Following | None) -> dict[str, Cell]:
    if following is None:
        return {}
    return {
        "does what is asked, %": percent(following.follows),
        "95% interval": interval_text(following.follows),
        "judge is right, %": percent(following.known_pairs),
        "judge's 95% interval": interval_text(following.known_pairs),
        "known pairs": following.known_pairs.n,
    }


def percent(share: Estimate) -> str:
    """Return `20.5`, or a dash without a value."""
    return "-" if share.value is None else f"{100 * share.value:.1f}"


def interval_text(share: Estimate) -> str:
    """Return `14 to 27`, in percent, or a dash if the interval is not known."""
    return "-" if share.low is None or share.high is None else f"{100 * share.low:.0f} to {100 * share.high:.0f}"


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
