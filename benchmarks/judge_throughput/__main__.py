"""Gradings per second: this project, a bare loop on the openai SDK, and other judges' own runners, side by side.

python -m benchmarks.judge_throughput                               this project and the bare loop, two minutes
python -m benchmarks.judge_throughput --cache ~/.cache/judges       the others too: gigabytes to install, half an hour
python -m benchmarks.judge_throughput --cache envs --answers model_outputs.json.gz --runners project openevals
python -m benchmarks.judge_throughput --cache envs --stored         the tables of what was measured, and no more
python -m benchmarks.judge_throughput --runners --vllm --vllm-python ../vllm/.venv/bin/python       vLLM alone

A server answers each call after 0.2 s, and each runner grades the same answers with 64 calls in flight. Each runs as
its users run it, in a process and an environment of its own. pip makes the environments in --cache, once. The runners
take turns, so that a busy machine is busy for all. Light runners take --repeats turns, the others one.

The seconds and the processor seconds are those of the runner and what it starts, without its imports and without the
server. The memory is the peak of these processes together. Each runner is then started again and killed (-9) when the
server has answered half of the calls: *stored* is how many of the replies are in its files.

Each turn is a line in --out as soon as it is done. The same command goes on where it ended. A runner that cannot be
installed or fails is named with the reason and tried again next time. One that takes longer than --limit-s is stopped,
and its row has what it did until then.

--vllm measures this project's judge on vLLM against `LLM.generate` on the same prompts and settings.
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Literal

import tyro

from benchmarks.judge_throughput.environments import NotInstalledError, python_of, version_of
from benchmarks.judge_throughput.results import Results, Turn
from benchmarks.judge_throughput.runners import RUNNERS
from benchmarks.judge_throughput.running import ROOT, Work, kill_at_half, take_turn
from benchmarks.judge_throughput.tables import cost_of, finished, ideal_s, row_of
from benchmarks.judge_throughput.vllm import Vllm, measure_vllm, vllm_rows
from console.output import tell
from console.progress import say
from console.table import print_table
from records.files import BadRows
from records.keys import content_key
from records.rows import request_text
from records.shapes import read_responses

EXAMPLE = ROOT / "judges" / "example.jsonl"


@dataclass(frozen=True)
class Config:
    """Measure judges' runners."""

    answers: tuple[Path, ...] = (EXAMPLE,)
    """Files of answers: AlpacaEval's model outputs, or JSONL of this project. The default is the packaged example."""
    gradings: int = 1000
    """How many answers are graded. Too few answers are repeated."""
    in_flight: int = 64
    """The most calls at a time."""
    repeats: int = 3
    """Turns of the light runners."""
    delay_s: float = 0.2
    """Seconds of each call."""
    runners: tuple[str, ...] = tuple(RUNNERS)
    """Which to run. The default is all."""
    cache: Path | None = None
    """The folder of the environments. Without it, only what needs none is run."""
    limit_s: float = 420
    """A runner that takes longer is stopped and named."""
    out: Path = Path("runs/judge_throughput.jsonl")
    """The file of what was measured."""
    stored: bool = False
    """Print the tables of what is in --out and measure nothing."""
    fresh: bool = False
    """Measure again what is in --out."""
    vllm: bool = False
    """Measure this project's judge on vLLM against `LLM.generate` too."""
    vllm_python: Path = Path(sys.executable)
    """A Python that has vLLM and what this project needs. The default is this one."""
    vllm_model: str = "smollm2"
    vllm_gradings: int = 128
    vllm_tokens: int = 32
    """The most tokens of a reply."""
    vllm_samples: int = 1
    """Replies to each question. `judges.score` asks for three."""
    vllm_dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """The type to compute in. auto is float32 on a processor."""


def main(config: Config) -> None:
    """Measure what is not stored, and print the tables."""
    if unknown := sorted(set(config.runners) - set(RUNNERS)):
        raise SystemExit(f"error: no runner {unknown[0]!r}; known: {', '.join(RUNNERS)}")
    if config.fresh and not config.stored:
        config.out.unlink(missing_ok=True)
    rows = answers_of(config.answers, config.gradings)
    results = Results(config.out, settings_of(config, rows))
    reasons = {} if config.stored else _measured(config, rows, results)
    if config.runners:
        _print(config, results, reasons)
    if config.vllm:
        _on_vllm(config)


def answers_of(files: tuple[Path, ...], n: int) -> list[dict[str, str]]:
    """Return `n` rows with an id, a prompt and a response. Too few answers are repeated with a number before them."""
    rows = (row for file in files for row in read_responses(file, BadRows(strict=True)))
    answers = [(request_text(row.prompt), row.response) for row in rows]
    return [
        {
            "id": f"a{number}",
            "prompt": prompt,
            "response": response if number < len(answers) else f"{number}. {response}",
            "model": "graded",
        }
        for number, (prompt, response) in enumerate(islice(cycle(answers), n))
    ]


def settings_of(config: Config, rows: list[dict[str, str]]) -> dict[str, Any]:
    """Return what two measurements that can be compared have in common."""
    digest = content_key(json.dumps(rows))
    return {"answers": digest, "in_flight": config.in_flight, "delay_s": config.delay_s}


def _measured(config: Config, rows: list[dict[str, str]], results: Results) -> dict[str, str]:
    """Measure each runner that has too few turns, then kill it. Return why some have none."""
    pythons, reasons = _installed(config)
    with _written(rows) as file:
        work = Work(file, config.gradings, config.in_flight, config.delay_s, config.limit_s)
        for repeat in range(config.repeats):
            for runner, (name, python) in pythons.items():
                if has_turn(results.turns(runner), repeat if RUNNERS[runner].is_light else 0):
                    continue
                if runner in reasons:  # it has failed just now
                    continue
                say(f"{name} ...")
                found = take_turn(runner, name, python, work)
                results.add(found)
                say(f"{name}: {told(found)}")
                if found.verdicts is None:
                    reasons[runner] = found.reason
        for runner, (name, python) in pythons.items():
            if finished(results.turns(runner)) and not results.kill(runner):
                say(f"{name}, killed at half ...")
                results.add(kill_at_half(runner, python, work))
    return reasons


def has_turn(turns: list[Turn], repeat: int) -> bool:
    """Say if a runner needs no turn of this number: it has it, or it was stopped at the limit."""
    was_stopped = any(turn.verdicts is None and turn.wall_s is not None for turn in turns)
    return was_stopped or len(finished(turns)) > repeat


def told(turn: Turn) -> str:
    """Return a turn's figures, for the progress."""
    if turn.verdicts is None:
        return turn.reason
    return f"{turn.wall_s:.1f} s, {turn.processor_s:.1f} processor s, {turn.peak_mib:.0f} MiB"


def _installed(config: Config) -> tuple[dict[str, tuple[str, Path]], dict[str, str]]:
    """Return the name and the interpreter of each runner, and why some have none."""
    pythons, reasons = {}, {}
    for runner in config.runners:
        one = RUNNERS[runner]
        if not one.requirements:
            pythons[runner] = (one.title, Path(sys.executable))
            continue
        if config.cache is None:
            reasons[runner] = "no --cache folder for its environment"
            continue
        say(f"installing {one.title} ...")
        try:
            python = python_of(config.cache.resolve(), runner, one.requirements)
            pythons[runner] = (f"{one.title} {version_of(python, one.requirements[0])}", python)
        except NotInstalledError as error:
            reasons[runner] = f"not installed: {error}"
    return pythons, reasons


@contextmanager
def _written(rows: list[dict[str, str]]) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "answers.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        yield file


def _print(config: Config, results: Results, reasons: dict[str, str]) -> None:
    turns = {runner: found for runner in config.runners if (found := results.turns(runner))}
    ideal = ideal_s(config.gradings, config.in_flight, config.delay_s)
    print_table([row_of(found, config.gradings, ideal) for found in turns.values()])
    tell()
    kills = {runner: kill.stored for runner in turns if (kill := results.kill(runner))}
    ours = turns.get("project", [])
    print_table([cost_of(found, kills.get(runner, ""), ours) for runner, found in turns.items()])
    for runner in config.runners:
        if reason := reasons.get(runner) or (runner in turns and turns[runner][-1].reason):
            tell(f"{RUNNERS[runner].title}: {reason}")


def _on_vllm(config: Config) -> None:
    vllm = Vllm(
        config.vllm_python,
        config.vllm_model,
        config.vllm_tokens,
        config.repeats,
        config.vllm_samples,
        config.vllm_dtype,
    )
    rows = answers_of(config.answers, config.vllm_gradings)
    results = Results(config.out, {"answers": content_key(json.dumps(rows)), **vllm.settings})
    if not config.stored:
        with _written(rows) as file:
            measure_vllm(vllm, file, results)
    tell()
    print_table(vllm_rows(results))


if __name__ == "__main__":
    main(tyro.cli(Config, prog="python -m benchmarks.judge_throughput", description=__doc__))
