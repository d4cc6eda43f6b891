"""Finds where the text of a reply gives a verdict, and which of these places counts.

What cannot be told apart: a reply that quotes several lines, one of them in the form of a verdict, and stops there of
its own accord without a verdict of its own. A reply that is cut off there is never read (`judges.verdict`).
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from judges import reply_patterns as patterns
from judges.rubric import Rubric

NO_VERDICT = "no verdict in the reply"
LOOKED_AT = 40
"""Characters around a verdict that are looked at; a line that opens with one has fewer before it."""
LONGEST_ALONE = 120
LONGEST_NUMBER = 20


@dataclass(frozen=True)
class Claim:
    """A place in a reply that gives a verdict, or that should and does not."""

    start: int
    end: int
    value: float | None
    error: str | None
    opens_line: bool = False


def text_verdicts(text: str, rubric: Rubric) -> dict[str, float] | str:
    """Return the verdict for each of the rubric's labels, or why there is none."""
    unmarked = patterns.without_markup(text)
    quotations = list(patterns.QUOTED.finditer(text))
    claims = {label: _unquoted(_labelled(unmarked, label, rubric), text, quotations) for label in rubric.labels}
    if not rubric.criteria and not claims[rubric.label]:
        claims[rubric.label] = _unquoted(_unlabelled(unmarked, rubric), text, quotations)
    found: dict[str, float] = {}
    chosen = {label: _chosen(mine) for label, mine in claims.items()}
    for label, claim in chosen.items():
        if claim.value is None:
            return f"{label}: {claim.error}" if rubric.criteria else str(claim.error)
        found[label] = claim.value
    if not _stand_together(list(chosen.values()), [claim for mine in claims.values() for claim in mine]):
        return "the criteria do not stand together in the order asked for"
    changed = any(_differ([claim for claim in mine if claim.opens_line]) for mine in claims.values())
    if changed and not _ends(text, max(claim.end for claim in chosen.values())):
        return "contradictory: several verdicts, and the last is not the end of the reply"
    return found


def _differ(claims: list[Claim]) -> bool:
    return len({claim.value for claim in claims if claim.value is not None}) > 1


def _ends(text: str, end: int) -> bool:
    """Return whether a verdict up to `end` is the reply's last word, with perhaps a reason in its own line."""
    line, _, rest = text[end:].partition("\n")
    quotation = re.search(r"[\"”»」]", line)  # the end of one that began lines before
    return not re.search(r"\w", rest + line[quotation.end() :] if quotation else rest)


def _chosen(claims: list[Claim]) -> Claim:
    """Return the claim that counts: the last that opens a line, or else the last; one without a value where none does.

    What is said after it, and without one that opens a line all that is said, must not speak against it.
    """
    if not claims:
        return Claim(0, 0, None, NO_VERDICT)
    lines = [claim for claim in claims if claim.opens_line]
    last = lines[-1] if lines else claims[-1]
    said = [claim.value for claim in claims if not lines or claim.start >= last.start]
    if set(said) == {last.value}:
        return last
    shown = dict.fromkeys("none" if value is None else f"{value:g}" for value in said)
    return Claim(0, 0, None, f"contradictory: {' and '.join(shown)}"[:200])


def _stand_together(chosen: list[Claim], claims: list[Claim]) -> bool:
    """Return whether the verdicts on several criteria are one list; else some of them may be quoted."""
    starts = [claim.start for claim in chosen]
    inside = [claim for claim in claims if starts[0] <= claim.start <= starts[-1]]
    return len(chosen) == 1 or (starts == sorted(starts) and len(inside) == len(chosen))


def _labelled(text: str, label: str, rubric: Rubric) -> Iterator[Claim]:
    found = patterns.patterns_of(label, tuple(rubric.values))
    for name in found.label.finditer(text):
        start = name.start()
        far = max(0, start - LOOKED_AT)
        line = text.rfind("\n", far, start) + 1
        before = text[line or far : start]
        opens_line = bool((line or far == 0) and patterns.OPENS_LINE.fullmatch(before))
        if before.endswith("/") or not (opens_line or patterns.BEFORE_LABEL.search(before)):
            continue
        said = found.claim.match(text, name.end())
        if said is None:
            continue
        if _is_verdict(said, text, opens_line, found, bool(rubric.values)):
            yield Claim(start, said.end(), *claimed_value(said, rubric), opens_line)
        elif opens_line and said["separator"] not in ("", "is"):
            yield Claim(start, said.end(), None, NO_VERDICT, opens_line)


def _is_verdict(said: re.Match[str], text: str, opens_line: bool, found: patterns.Patterns, is_word: bool) -> bool:
    """Return whether what follows a label is a verdict and not the beginning of something else."""
    verdict, separator = said["verdict"], said["separator"]
    if verdict is None:
        return False
    if not separator or "\n" in said["gap"]:  # a heading: its verdict fills a line
        return opens_line and bool(patterns.REST_IS_EMPTY.match(text, said.end()))
    if is_word or verdict[0].isalpha() or separator.startswith("is"):
        return bool(found.ends.match(text, said.end()))
    return True


def _unlabelled(text: str, rubric: Rubric) -> Iterator[Claim]:
    """Yield verdicts that can be nothing else although the label is not there."""
    found = patterns.patterns_of(rubric.label, tuple(rubric.values))
    for said in found.marked.finditer(text):
        yield Claim(said.start(), said.end(), *claimed_value(said, rubric))
    whole, end = text.strip(), len(text.rstrip())
    for shown in dict.fromkeys((whole, whole[whole.rfind("\n") + 1 :])):
        alone = found.alone.fullmatch(shown) if len(shown) <= LONGEST_ALONE else None
        if alone and (shown == whole or alone["named"]):
            yield Claim(end - len(shown), end, *claimed_value(alone, rubric))


def _unquoted(claims: Iterator[Claim], text: str, quotations: list[re.Match[str]]) -> list[Claim]:
    """Return the claims that are the judge's own words."""
    starts = [quotation.start() for quotation in quotations]
    places = [(claim, bisect_right(starts, claim.start) - 1) for claim in claims]
    return [claim for claim, i in places if i < 0 or not _quotes(quotations[i], claim, text)]


def _quotes(quotation: re.Match[str], claim: Claim, text: str) -> bool:
    if claim.end > quotation.end():
        return False
    before = text[max(0, quotation.start() - LOOKED_AT) : quotation.start()].rpartition("\n")[2]
    after = text[quotation.end() : quotation.end() + LOOKED_AT].partition("\n")[0]
    return bool(quotation[0][0] == ">" or re.search(r"\w", before + after))  # marks around a whole line are an ornament


def claimed_value(said: re.Match[str], rubric: Rubric) -> tuple[float | None, str | None]:
    """Return what a match of a pattern is worth, or why it is worth nothing."""
    shown = repr(" ".join(said[0].split())[:80])
    if said["more"]:
        return None, f"contradictory: {shown}"
    if rubric.values:
        return word_value(said["verdict"], rubric)
    if said["scale"] and number(said["scale"]) != rubric.high:
        return None, f"another scale than {rubric.low:g} to {rubric.high:g}: {shown}"
    value = number(said["verdict"])
    return on_scale(value + 0.5 if value is not None and said["half"] else value, rubric)


def number(said: str) -> float | None:
    """Return the number that `said` is, in digits of any script or as a word; None where it is none."""
    known = patterns.SPOKEN.get(said.lower(), patterns.NUMERALS.get(said))
    if known is not None:
        return known
    if len(said) > LONGEST_NUMBER or not re.fullmatch(patterns.DIGITS, said) or re.search(r",\d{3}$", said):
        return None  # a comma before three digits parts thousands
    return float(said.replace(",", ".").replace("٫", "."))


def on_scale(value: float | None, rubric: Rubric) -> tuple[float | None, str | None]:
    """Return `value`, or why it is no score."""
    if value is None:
        return None, NO_VERDICT
    if not rubric.low <= value <= rubric.high:
        return None, f"{value:g} is outside {rubric.low:g} to {rubric.high:g}"
    return value, None


def word_value(said: str, rubric: Rubric) -> tuple[float | None, str | None]:
    """Return what the word `said` is worth, or why it is worth nothing."""
    known = {patterns.key_of(word): value for word, value in rubric.values.items()}
    value = known.get(patterns.key_of(said))
    return (value, None) if value is not None else (None, f"{said[:80]!r} is none of {', '.join(rubric.values)}")
