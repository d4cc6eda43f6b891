"""Prints the table of rubrics, or one rubric in full."""

from pathlib import Path

import msgspec

from console.output import tell, tell_json, tell_text
from console.table import Cell, print_table
from judges.rubrics.rubric import Rubric, load_rubric, rubric_names


def print_what_is_named(name: Path | None, *, as_json: bool) -> None:
    """Print one rubric in full, or without a name the table of all."""
    if name is None:
        print_rubrics(as_json=as_json)
    else:
        print_rubric(str(name), as_json=as_json)


def print_rubrics(*, as_json: bool) -> None:
    """Print a table of the project's rubrics."""
    print_table([_row(load_rubric(name)) for name in rubric_names()], as_json=as_json)


def print_rubric(name: str, *, as_json: bool) -> None:
    """Print one rubric in full."""
    rubric = load_rubric(name)
    if as_json:
        tell_json(msgspec.json.encode(rubric))
        return
    tell(f"{rubric.name}: {rubric.source}", "")
    tell(f"judges     {'one answer' if rubric.kind == 'score' else 'two answers, in both orders'}")
    tell(f"scale      {scale_of(rubric)}")
    tell(f"samples    become one score by their {rubric.aggregate}")
    verdict = rubric.pattern or " / ".join(f"{label}: <verdict>" for label in rubric.labels)
    tell(f"reply      {verdict}")
    tell(f"logprobs   of {', '.join(rubric.logprobs.choices)} after {rubric.prefill(rubric.labels[0])!r}", "")
    if rubric.criteria:
        print_table([{"criterion": c.name, "weight": c.weight, "what": c.description} for c in rubric.criteria])
        tell()
    tell_text(rubric.prompt)
    for read in ("text", "logprobs", "structured"):
        tell()
        tell_text(f"--read {read} closes with: {getattr(rubric.closing, read) or '(cannot be used)'}")


def scale_of(rubric: Rubric) -> str:
    """Return the scale in a few words: `0 to 5`, or the words of a verdict with the value of each."""
    if rubric.values:
        return ", ".join(f"{word} {value:g}" for word, value in rubric.values.items())
    return f"{rubric.low:g} to {rubric.high:g}"


def _row(rubric: Rubric) -> dict[str, Cell]:
    needed = sorted(rubric.placeholders & {"reference", "judged"})
    return {
        "rubric": rubric.name,
        "judges": "one answer" if rubric.kind == "score" else "two answers",
        "scale": scale_of(rubric),
        "criteria": len(rubric.criteria) or None,
        "needs": ", ".join(needed) or None,
    }
