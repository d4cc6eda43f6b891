"""A rubric is a TOML file with a text beside it: what to ask the judge, on which scale, and how to read the answer."""

import re
import tomllib
from functools import cached_property
from pathlib import Path
from typing import Literal

import msgspec

from console.errors import InputError

HERE = Path(__file__).parent / "rubrics"
PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")
NEEDED = {"score": {"closing", "prompt", "response"}, "pair": {"closing", "prompt", "response_a", "response_b"}}


class Closing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the judge is asked to reply, for each way of reading the reply."""

    text: str
    logprobs: str


class LogprobReading(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The words the reply is made to begin with, and the tokens whose probabilities are then read."""

    prefill: str
    choices: list[str]


class Rubric(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """What a judge is asked and how its reply is read."""

    name: str
    kind: Literal["score", "pair"]
    source: str
    prompt: str
    """The text with its placeholders; in the TOML file the name of the file beside it."""
    label: str
    """The word that stands before the verdict in a reply."""
    closing: Closing
    logprobs: LogprobReading
    low: float = 0
    high: float = 0

    @cached_property
    def tags(self) -> tuple[str, ...]:
        """The tags that fence the judged texts; none may be closed from inside."""
        return tuple(sorted(set(re.findall(r"</?[a-z_]+>", self.prompt))))

    def values(self) -> list[float]:
        """Return the score that each choice stands for."""
        return [float(choice) for choice in self.logprobs.choices]


def load_rubric(name: str) -> Rubric:
    """Return the rubric called `name`: one of this project's, or the path of a TOML file.

    Raises InputError, naming the file and the key, where it is broken.
    """
    path = Path(name) if name.endswith(".toml") else HERE / f"{name}.toml"
    if not path.exists():
        known = ", ".join(sorted(p.stem for p in HERE.glob("*.toml")))
        raise InputError(f"no rubric '{name}'; give one of {known}, or the path of a .toml file")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        table["prompt"] = (path.parent / str(table.get("prompt"))).read_text(encoding="utf-8").strip()
        rubric = msgspec.convert(table, Rubric)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {error}") from None
    except OSError as error:
        raise InputError(f"{path}: its prompt file cannot be read: {error}") from None
    _check(rubric, path)
    return rubric


def _check(rubric: Rubric, path: Path) -> None:
    found = set(PLACEHOLDER.findall(rubric.prompt))
    if missing := NEEDED[rubric.kind] - found:
        raise InputError(f"{path}: its prompt lacks the placeholder {{{{{sorted(missing)[0]}}}}}")
    if unknown := found - NEEDED[rubric.kind]:
        raise InputError(f"{path}: its prompt has an unknown placeholder {{{{{sorted(unknown)[0]}}}}}")
    if len(rubric.logprobs.choices) < 2:
        raise InputError(f"{path}: 'logprobs.choices' needs at least two choices")
    if rubric.kind == "score":
        if rubric.low >= rubric.high:
            raise InputError(f"{path}: 'low' must be below 'high'")
        try:
            values = rubric.values()
        except ValueError:
            raise InputError(f"{path}: 'logprobs.choices' must be numbers") from None
        if not all(rubric.low <= value <= rubric.high for value in values):
            raise InputError(f"{path}: 'logprobs.choices' must lie between 'low' and 'high'")
