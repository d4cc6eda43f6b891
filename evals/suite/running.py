"""Runs the evaluations one after the other, and prints the plan before and the numbers after."""

import json
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from console.errors import InputError, JudgeError
from console.output import counted, tell, tell_json
from console.progress import say
from console.table import Cell, print_table
from engines.options import EngineOptions, is_iteration
from evals.results.numbers import Number, numbers_in
from evals.suite.cost import PROMPT_TOKENS, cost_at_most
from evals.suite.options import Config
from evals.suite.steps import Step, steps_of
from records.runs import RUNS, find_run, named_in_run

INTERRUPTED = 130
LAST_LINES = 1
NOTE = (
    "Tokens and dollars are the judge's, as if each answer were as long as its limit, with "
    f"{PROMPT_TOKENS} tokens for the rubric and the prompt."
)


@dataclass(frozen=True)
class Ended:
    """How an evaluation ended."""

    name: str
    exit_code: int
    seconds: float


def run_suite(config: Config) -> None:
    """Run every evaluation. Raises JudgeError at the end if one failed, and InputError if a plan does not hold."""
    if not config.model:
        raise InputError("name the model with --model")
    model, run = named_in_run(config.model, config.run)
    config = replace(config, model=model, run=run)
    with tempfile.TemporaryDirectory() as name:  # of this process alone: another one may run with other settings
        _run_suite(config, steps_of(config, Path(name)))


def _run_suite(config: Config, steps: Sequence[Step]) -> None:
    folder = _folder(config)
    plans = [_plan_of(step) for step in steps]
    of_model = f"of {config.model}: {', '.join(step.name for step in steps)}"
    say(f"{counted(len(steps), 'evaluations')} {of_model}; results in {folder}")
    for name, reason in config.off().items():
        say(f"off: {name}: {reason}; --only {name} runs it")
    if config.dry_run or not config.json:
        print_table([*plans, _total(plans)], as_json=config.json)
        if not config.json:
            tell("", NOTE)
    if config.dry_run:
        return
    ended = [_run(step, fresh=config.fresh) for step in steps]
    problems: list[str] = []
    done = [one.name for one in ended if not one.exit_code]
    models = {config.model, *config.baselines}
    numbers = [number for number in numbers_in(folder, problems) if number.model in models and number.command in done]
    for problem in problems:
        say(f"warning: {problem}")
    _report(ended, numbers, as_json=config.json)
    if failed := [one.name for one in ended if one.exit_code]:
        raise JudgeError(f"failed: {', '.join(failed)}; the same command goes on with them")


def _folder(config: Config) -> Path:
    options = EngineOptions(model=config.model, run=config.run)
    return (find_run(config.run).folder if is_iteration(options) else RUNS) / "evals"


def _plan_of(step: Step) -> dict[str, Cell]:
    """Return what an evaluation would do, as it says itself. Raises InputError with its words if it refuses."""
    done = subprocess.run(step.command("--dry-run", "--json"), capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it gave no reason"])[-LAST_LINES].removeprefix("error: ")
        raise InputError(f"[{step.name}] {reason.replace(f'{step.settings}: ', '')}")
    plan = json.loads(done.stdout)
    counts = {name.replace(" ", "_"): value for name, value in plan.items() if isinstance(value, int)}
    calls = _calls(plan, counts)
    tasks = len(plan["tasks"]) if isinstance(plan.get("tasks"), list) else None
    cost = cost_at_most(step.name, step.settings, calls or 0)
    return {
        "evaluation": step.name,
        "tasks": tasks,
        "answers": counts.get("answers") if step.name not in ("reward_model",) else None,
        "judge's calls": calls,
        "tokens at most": cost.tokens,
        "dollars at most": None if cost.dollars is None else round(cost.dollars, 2),
    }


def _calls(plan: Mapping[str, Any], counts: Mapping[str, int]) -> int | None:
    """Return the calls to the judge that a plan names, or None if it names none."""
    if "annotator_calls" in counts:
        return counts["annotator_calls"] - counts.get("calls_there", 0)
    if isinstance(plan.get("judges"), list):  # judges that are the subject
        return sum(int(judge["calls"]) for judge in plan["judges"])
    return counts.get("judge_calls", counts.get("verdicts"))


def _total(plans: Sequence[dict[str, Cell]]) -> dict[str, Cell]:
    sums: dict[str, Cell] = {"evaluation": "together"}
    for name in plans[0]:
        if name != "evaluation":
            sums[name] = sum(float(plan[name] or 0) for plan in plans)
            sums[name] = round(float(sums[name] or 0), 2) if name.startswith("dollars") else int(sums[name] or 0)
    return sums


def _run(step: Step, *, fresh: bool) -> Ended:
    """Run an evaluation, whose output goes where this command's does, but to stderr."""
    say(f"--- {step.name}")
    started = time.monotonic()
    command = step.command(*(["--fresh"] if fresh else []))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            say(line.rstrip("\n"))
    if process.returncode == INTERRUPTED:
        raise KeyboardInterrupt
    return Ended(step.name, process.returncode, time.monotonic() - started)


def _report(ended: Sequence[Ended], numbers: Sequence[Number], *, as_json: bool) -> None:
    rows = [number.row() for number in numbers]
    if as_json:
        steps = [vars(one) for one in ended]
        tell_json({"evaluations": steps, "numbers": rows})
        return
    tell("")
    print_table(
        [
            {"evaluation": one.name, "ended": "done" if not one.exit_code else "failed", "seconds": one.seconds}
            for one in ended
        ]
    )
    if rows:
        tell("")
        print_table(rows)
        tell("", "In brackets 95% intervals. n: prompts or questions.")
