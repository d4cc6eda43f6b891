"""The output of a loop: its plan before the run, its table and files after it."""

import shutil
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from console.errors import UnreachableError
from console.output import tell, tell_json, tell_text
from console.progress import say
from console.table import WIDTH, Cell, print_table, screen_width
from judges.judging.win_rate import say_flips
from records import Prompt
from records.rows import messages_of
from records.runs import Run
from records.store import write_atomic
from trainer.loop.curve import draw
from trainer.loop.examples import drawn_examples, rule_of, side_by_side
from trainer.loop.held_out.figures import IterationFigures
from trainer.loop.judging.judges import round_judges
from trainer.loop.plan.disk import disk_use, told
from trainer.loop.plan.estimate import estimate, memory_of, table_of, too_large
from trainer.loop.plan.left import numbers_to_make
from trainer.loop.plan.probe import probe
from trainer.loop.plan.work import Work
from trainer.loop.plan.workload import loop_work
from trainer.loop.recipe import Config
from trainer.loop.rounds import supervised_chats
from trainer.loop.said import interval_text, percent, planned
from trainer.monitors.following import Following
from trainer.runs.freeable import files_below, freeable_in_iterations, n_bytes_of
from trainer.runs.ledger import LedgerLine
from trainer.training.memory.size import model_size

MB = 1e6
WIDEST = 120
"""Two columns of text on a wider screen are no easier to read."""


def print_report(run: Run, config: Config, lines: dict[str, LedgerLine], measured: list[IterationFigures]) -> None:
    """Print a row per iteration, answers side by side, where the files are, and what to do next.

    With --json the same is printed as data.
    """
    say_flips({f"iter{figures.iteration} against iter0": figures.win_rate for figures in measured})
    examples = drawn_examples(run, measured[-1].iteration, config.seed)
    picture = _picture(run, measured)
    commands = ("tui", "evals.report", f"evals.alpaca --model iter{config.iterations}")
    following = [f"{_python()} -m {command}" for command in commands]
    if config.json:
        shown = {"ledger": list(lines.values()), "held_out": measured, "examples": examples}
        tell_json(msgspec.json.encode({**shown, "folder": str(run.folder), "picture": picture, "next": following}))
        return
    print_table([_row(figures, lines.get(f"iter{figures.iteration}"), config) for figures in measured])
    if text := headline(measured):
        tell("", text)
    tell("", *_notes(config, measured[0]))
    if cut := lengths_of(list(lines.values())):
        tell("", *cut)
    tell("", *wrapped(rule_of(examples, config.seed), indent="  "))
    for example in examples:
        tell_text(f"\n{side_by_side(example, min(screen_width(), WIDEST))}")
    tell("", "files:", *([f"  {picture}  the curve"] if picture else []))
    tell(*(line for files in _files(run) for line in wrapped(f"  {files}", indent="    ")))
    tell("", *wrapped(_disk(run), indent="  "))
    tell("", "next:", *(f"  {command}" for command in following))


def _picture(run: Run, measured: Sequence[IterationFigures]) -> str | None:
    """Write the curve, if there is one, and return its path."""
    picture = draw(measured)
    if picture is None:
        return None
    path = run.folder / "curve.png"
    write_atomic(path, picture)
    return str(path)


def headline(measured: Sequence[IterationFigures]) -> str | None:
    """Return how much more the last iteration does of what is asked than iter0, or None without constraints."""
    first, last = measured[0].following, measured[-1].following
    if first is None or last is None or last.gain is None or last.gain.value is None:
        return None
    between = "" if last.gain.low is None else f" (95% interval {interval_text(last.gain)})"
    gain = f"{100 * last.gain.value:+.1f} points{between}"
    return f"does what is asked, iter{measured[-1].iteration} against iter0: {gain}"


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


def print_plan(run: Run, find_base: Callable[[], Path], prompts: list[Prompt], config: Config, *, fresh: bool) -> None:
    """Print the work that is left of a run, with time and memory from a short measurement or by formula.

    `find_base` returns the model that it begins with, and `fresh` tells that nothing of what is there counts.
    """
    there, options = None if fresh else run, config.estimate
    to_make = numbers_to_make(config, there)
    ift, eft = supervised_chats(config) if 1 in to_make else ([], [])  # they may be gone once iter1 is made
    works = loop_work(config, prompts, [*ift, *eft], run=there)
    trainings: list[str] = []
    if not works:
        stages, how = [], ""
    elif options.gpus:
        size = model_size(options.size or find_base())
        stages = estimate(works, size=size, hardware=options, lora=config.lora)
        trainings = [
            f"{work.stage}: {memory_of(work, size, options, config.lora).text()}" for work in works if work.training
        ]
        how = f"by formula for {options.gpus} GPU{'s' if options.gpus > 1 else ''}"
    elif options.measure:
        # without what iter1 learns from, the prompts are read in a training
        chats = [*ift, *eft] or [messages_of(prompt.prompt, prompt.system) for prompt in prompts]
        stages = estimate(works, speeds=probe(_found(find_base), config, prompts, chats))
        how = "from a short measurement on this machine"
    else:
        stages, how = estimate(works), "calls and tokens only"
    if not config.json:
        tell(*wrapped(planned(run, config, to_make, how), indent="  "), "")
    print_table(table_of(stages, options.gpu_price), as_json=config.json)
    if trainings and not config.json:
        tell("", *trainings)
    if to_make and (options.gpus or options.measure):
        _say_disk(run, find_base, works, config, len(to_make))
    if options.gpus and works and (problem := too_large(stages, options)):
        say(problem)


def _found(find_base: Callable[[], Path]) -> Path:
    try:
        return find_base()
    except UnreachableError as error:
        raise UnreachableError(f"{error}; --estimate.no-measure plans without the model") from None


def _say_disk(run: Run, find_base: Callable[[], Path], works: list[Work], config: Config, n_iterations: int) -> None:
    """Report the disk space, or why it is not known."""
    try:
        base = find_base()
    except UnreachableError as error:
        say(f"the plan leaves out the disk space, because the type of the weights is not known: {error}")
        return
    size = model_size(config.estimate.size or base)
    say(told(disk_use(size, base, works, config, n_iterations), run.folder))


def _notes(config: Config, first: IterationFigures) -> list[str]:
    """Return what the rows of the table are, in lines that fit a page."""
    notes = []
    if (following := first.following) is not None:
        each = "1 answer" if config.eval.n == 1 else f"{config.eval.n} answers"
        score = (
            "the score by the rounds' judge"
            if round_judges(config.judge, config.panel)
            else "the iteration's own score"
        )
        notes += [
            "does what is asked: an answer follows all constraints of its prompt, as a program checks them, on "
            f"{following.n_prompts} held-out prompts, {each} each.",
            "judge is right: on known pairs, two answers to one prompt of which one does what is asked and the other "
            f"does not, {score} prefers the first. A tie counts half.",
            "95% interval: over prompts.",
        ]
    notes.append("prompts, pairs, unscored: what the iteration learnt from.")
    if config.eval.score:
        notes.append(f"mean score: of {first.n_prompts} held-out answers, judged by iter{config.eval.judge}.")
    if config.eval.compare:
        notes.append("win rate: against iter0, in both orders, with its 95% interval; flipped: the orders disagree.")
    return [line for note in notes for line in wrapped(note, indent="  ")]


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
        **({"mean score": figures.mean_score} if config.eval.score else {}),
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


def _python() -> str:
    """Return the command for this Python, because the environment of `make demo` is not on a new user's path."""
    if shutil.which("python") == sys.executable:
        return "python"
    executable = Path(sys.executable)  # not resolved: a venv's python is a link, and its target lacks the packages
    return str(executable.relative_to(Path.cwd()) if executable.is_relative_to(Path.cwd()) else executable)


def wrapped(text: str, indent: str) -> list[str]:
    """Return a line of the report as lines of at most 80 cells, the later ones indented. A path stays whole."""
    return textwrap.wrap(text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _disk(run: Run) -> str:
    """Return the size of the run, and what of it could be freed."""
    line = f"disk: {n_bytes_of(files_below(run.folder)) / MB:.0f} MB"
    parts = list(freeable_in_iterations(run))
    n_bytes = sum(part.n_bytes for part in parts)
    return f"{line}; {_python()} -m trainer.runs --clean frees {n_bytes / MB:.0f} MB of it" if n_bytes else line


def _files(run: Run) -> list[str]:
    lines = [f"{run.config}  {run.ledger}"]
    for number in run.iterations():
        names = [path.name for path in sorted(run.iteration(number).iterdir())]
        lines.append(f"{run.iteration(number)}/  {' '.join(names)}")
    lines.append(f"{run.folder / 'eval'}/  {' '.join(path.name for path in sorted((run.folder / 'eval').iterdir()))}")
    return lines
