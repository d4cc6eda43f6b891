"""What a loop prints: its plan before, its table and files after."""

import shutil
import sys
from pathlib import Path

import msgspec

from console.table import Cell, print_table
from records.runs import Run
from trainer.ledger import LedgerLine
from trainer.measure import Measured
from trainer.recipe import Config


def print_report(run: Run, config: Config, lines: dict[str, LedgerLine], measured: list[Measured]) -> None:
    """Print a row for each iteration, where everything is, and what to do next; with --json the rows alone."""
    if config.json:
        print(msgspec.json.format(msgspec.json.encode({"ledger": list(lines.values()), "held_out": measured})).decode())
        return
    print_table([_row(row, lines.get(f"iter{row.iteration}")) for row in measured])
    print(
        "\nprompts, pairs and unscored: what the iteration learnt from. mean score, chars and win rate against iter0:\n"
        f"on {measured[0].n_prompts} held-out prompts, judged by iter{config.eval.judge}; win rate in both orders with "
        "its 95% interval."
    )
    print("\nfiles:")
    for line in _files(run):
        print(f"  {line}")
    commands = ("tui", "judges.score", f"evals.alpaca --model iter{config.iterations}")
    print("\nnext:\n" + "\n".join(f"  {_python()} -m {command}" for command in commands))


def print_plan(run: Run, config: Config) -> None:
    """Print what a run would do, stage by stage."""
    options, held_out = config.candidates, config.eval.prompts
    n_answers = options.prompts * options.n
    n_verdicts = n_answers * (config.judge.samples if config.judge.read == "text" else 1)
    rows: list[dict[str, Cell]] = [{"stage": "iter1 SFT", "calls": 0, "new tokens, at most": 0}]
    for number in range(2, config.iterations + 1):
        n_judge_tokens = n_verdicts * config.judge.max_new_tokens if config.judge.read == "text" else 0
        rows += [
            {
                "stage": f"iter{number} candidates",
                "calls": n_answers,
                "new tokens, at most": n_answers * options.max_new_tokens,
            },
            {"stage": f"iter{number} judging", "calls": n_verdicts, "new tokens, at most": n_judge_tokens},
            {"stage": f"iter{number} DPO, at most {options.prompts} pairs", "calls": 0, "new tokens, at most": 0},
        ]
    n_eval = held_out * (config.iterations + 1)
    n_contests = 2 * held_out * config.iterations
    rows.append({"stage": "held-out answers", "calls": n_eval, "new tokens, at most": n_eval * options.max_new_tokens})
    rows.append({"stage": "held-out verdicts", "calls": n_eval + n_contests, "new tokens, at most": 0})
    print(f"would run {config.iterations} iterations of {config.engine.model} in {run.folder}\n")
    print_table(rows, as_json=config.json)


def _row(row: Measured, line: LedgerLine | None) -> dict[str, Cell]:
    counts = line.counts if line else {}
    return {
        "iteration": f"iter{row.iteration}",
        "prompts": counts.get("prompts"),
        "pairs": counts.get("pairs"),
        "unscored": counts.get("unparsed"),
        "mean score": row.mean_score,
        "chars": round(row.mean_chars),
        "win rate, %": "-" if row.win_rate is None else str(row.win_rate),
        "seconds": round(line.seconds) if line else None,
    }


def _python() -> str:
    """Return how to call this Python: the environment of `make demo` is not on a new user's path."""
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
