"""Values of pattern matches on a rubric's scale, or the reasons for none."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from judges.parsing import patterns
from judges.parsing.text import key_of
from judges.rubrics.rubric import Rubric

NO_VERDICT = "no verdict in the reply"
LONGEST_NUMBER = 20


@dataclass(frozen=True)
class NoVerdict:
    """A reply without a verdict."""

    reason: str


def claimed_value(
    said: re.Match[str], rubric: Rubric, before: re.Match[str] | None = None
) -> tuple[float | None, str | None]:
    """Return the value of a match, or the reason for none. A scale may be named in `before`."""
    shown = repr(" ".join(said[0].split())[:80])
    if said["more"]:
        return None, f"contradictory: {shown}"
    if rubric.values:
        return word_value(said["verdict"], rubric)
    scales = list(_scales(said)) or ([float(before["scale"])] if before else [])
    if any(scale != rubric.high for scale in scales):
        return None, f"another scale than {rubric.low:g} to {rubric.high:g}: {shown}"
    value = number(said["verdict"])
    if (
        said["sum"]
        and value is not None
        and sum(number(part.strip(" =")) or 0 for part in said["sum"].split("+")) != value
    ):
        return None, f"contradictory: {shown} is no sum"
    return on_scale(value + 0.5 if value is not None and said["half"] else value, rubric)


def _scales(said: re.Match[str]) -> Iterator[float | None]:
    """Yield the scales that are named beside a number: 4/5, score (out of 5), a 5-point scale, max="5"."""
    groups = said.groupdict()
    yield from (number(groups[name]) for name in ("scale", "points") if groups[name])
    for note in (groups.get("note"), groups.get("attributes")):
        if noted := patterns.NOTED_SCALE.findall(note or ""):
            yield float(noted[-1])


def number(said: str) -> float | None:
    """Return the number in `said`, in digits of any script or as a word, or None."""
    known = patterns.SPOKEN.get(said.lower(), patterns.NUMERALS.get(said))
    if known is not None:
        return known
    if len(said) > LONGEST_NUMBER or not re.fullmatch(patterns.DIGITS, said) or re.search(r",\d{3}$", said):
        return None  # a comma before three digits parts thousands
    return float(said.replace(",", ".").replace("٫", "."))


def on_scale(value: float | None, rubric: Rubric) -> tuple[float | None, str | None]:
    """Return `value`, or the reason why it is no score."""
    if value is None:
        return None, NO_VERDICT
    if not rubric.low <= value <= rubric.high:
        return None, f"{value:g} is outside {rubric.low:g} to {rubric.high:g}"
    return value, None


def word_value(said: str, rubric: Rubric) -> tuple[float | None, str | None]:
    """Return the value of the word `said`, or the reason for none."""
    known = {key_of(word): value for word, value in rubric.values.items()}
    value = known.get(key_of(said))
    return (value, None) if value is not None else (None, f"{said[:80]!r} is none of {', '.join(rubric.values)}")


def value_of(said: str, rubric: Rubric) -> float | None:
    """Return the value of `said`, a word or a number alone, or None."""
    return word_value(said, rubric)[0] if rubric.values else number(said)
