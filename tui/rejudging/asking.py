"""Asks another judge about a row: `judges.score` or `judges.compare` runs as a process of its own.

The screen may not load the judges, so what they say comes back as the files and the JSON that they write for anybody.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec

from console.errors import EngineError, InputError
from console.output import counted
from records.runs import Run, read_settings
from tui.reading.kinds import RESPONSE
from tui.reading.table import Body

LOOK_EVERY_S = 0.2
LAST_WORDS_S = 3.0
READINGS = ("logprobs", "text", "structured", "decisions")
RUBRICS = ("additive", "pairwise")
"""The rubrics of one answer and of two, if the row names none that can be asked here."""
Row = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """The judge to ask, in the words of the commands' flags."""

    model: str = "smollm2"
    engine: str = "auto"
    base_url: str = ""
    rubric: str = ""
    read: str = "logprobs"

    def flags(self) -> list[str]:
        """Return the flags that are not empty."""
        named = {name.replace("_", "-"): str(value).strip() for name, value in asdict(self).items()}
        return [f"--{name}={value}" for name, value in named.items() if value]


@dataclass(frozen=True)
class Cost:
    """What the command says before it asks."""

    n_calls: int
    model: str
    n_tokens_read: int
    most_tokens_written: int
    about_dollars: float | None
    is_local: bool
    """Whether the model runs on this machine, which costs no money."""

    def __str__(self) -> str:
        price = "no price is known" if self.about_dollars is None else f"about ${self.about_dollars:,.4f}"
        tokens = f"about {self.n_tokens_read:,} tokens read, at most {self.most_tokens_written:,} written"
        calls = f"{counted(self.n_calls, 'calls')} to {self.model}"
        return f"{calls} on this machine, {tokens}" if self.is_local else f"{calls}, {tokens}: {price}"


def prefilled(body: Body, run: Run | None) -> Asked:
    """Return the judge to begin with: the row's rubric and reading, and the run's model."""
    settings: Row = {}
    if run is not None:
        with suppress(InputError):
            settings = read_settings(run)
    engine = settings.get("engine")
    known = engine if isinstance(engine, dict) else {}
    read = str(body.record.get("read") or "")
    is_named = body.item.kind != RESPONSE and body.item.rubric and "rubric" in body.record
    return Asked(
        model=str(known.get("model") or Asked.model),
        engine=str(known.get("engine") or Asked.engine),
        base_url=_first(known.get("base_url")),
        rubric=body.item.rubric if is_named else RUBRICS[body.item.text_b is not None],
        read=read if read in READINGS else Asked.read,
    )


def _first(value: object) -> str:
    return str(value[0]) if isinstance(value, list) and value else value if isinstance(value, str) else ""


def question(body: Body) -> Row:
    """Return the row of input that asks about `body` again. Raises InputError for a comparison of judgments."""
    item, record = body.item, body.record
    if record.get("judged"):
        raise InputError("this row compares two judgments, which only judges.compare asks about")
    row: Row = {"prompt": item.prompt, "prompt_id": item.prompt_id}
    if isinstance(record.get("reference"), str):
        row["reference"] = record["reference"]
    if item.text_b is None:
        return {**row, "id": item.id_a or item.prompt_id, "response": item.text_a, "model": item.model_a or "-"}
    names = {"model_a": item.model_a or "a", "model_b": item.model_b or "b"}
    return {**row, "response_a": item.text_a, "response_b": item.text_b, **names}


@contextmanager
def _command(body: Body, asked: Asked) -> Iterator[tuple[list[str], Path]]:
    """Yield the words of the command and the file of its result, both for as long as the context is open."""
    with tempfile.TemporaryDirectory(prefix="judgeloop-") as folder:
        asks, out = Path(folder) / "row.jsonl", Path(folder) / "verdict.jsonl"
        asks.write_bytes(msgspec.json.encode(question(body)) + b"\n")
        name = "score" if body.item.text_b is None else "compare"
        yield [sys.executable, "-m", f"judges.{name}", str(asks), f"--out={out}", "--json", *asked.flags()], out


def cost_of(body: Body, asked: Asked, stopped: Callable[[], bool] = lambda: False) -> Cost:
    """Return what it would cost to ask, by a dry run. Raises EngineError with the command's own error."""
    with _command(body, asked) as (words, _):
        plan = msgspec.json.decode(_output_of([*words, "--dry-run"], stopped))
    return Cost(
        plan["calls"], plan["model"], plan.get("about_tokens_read", 0), plan.get("most_tokens_written", 0),
        plan.get("about_dollars"), not asked.base_url.strip() and asked.engine.strip() != "openai",
    )  # fmt: skip


def ask(body: Body, asked: Asked, stopped: Callable[[], bool] = lambda: False) -> Row:
    """Return the judgment or comparison of the judge `asked`. Raises EngineError with the command's own error.

    A reply without a verdict cost money too: its row is returned, with the reason.
    """
    with _command(body, asked) as (words, out):
        try:
            _output_of(words, stopped)
        except EngineError:
            row = _row_in(out)
            if row is None or not row.get("replies"):
                raise
            return row
        row = _row_in(out)
    if row is None:
        raise EngineError("the command ended without a verdict")
    return row


def _row_in(out: Path) -> Row | None:
    lines = out.read_bytes().splitlines() if out.exists() else []
    with suppress(msgspec.DecodeError):
        return msgspec.json.decode(lines[-1], type=Row) if lines else None
    return None


def _output_of(words: Sequence[str], stopped: Callable[[], bool]) -> bytes:
    """Run a command and return its output. Raises EngineError with its last line if it fails or is stopped."""
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while True:
        try:
            out, told = process.communicate(timeout=LOOK_EVERY_S)
            break
        except subprocess.TimeoutExpired:
            if stopped():
                _end(process)
                raise EngineError("stopped before the judge answered") from None
    if process.returncode:
        raise EngineError(error_in(told.decode("utf-8", "replace")))
    return out


def error_in(told: str) -> str:
    """Return the one line that says why a command failed: its error, or what stands in the frame of a wrong flag."""
    lines = told.strip().splitlines()
    errors = [line.removeprefix("error:").strip() for line in lines if line.startswith("error:")]
    framed = [line.strip("│ ") for line in lines if line.startswith("│")]
    until = next((place for place, line in enumerate(framed) if line.startswith("───")), len(framed))
    return errors[-1] if errors else " ".join(framed[:until]) or (lines[-1] if lines else "the command failed")


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.communicate(timeout=LAST_WORDS_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
