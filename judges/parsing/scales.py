"""Reads the scale that a reply names, beside its score or in a separate line."""

import re
from collections.abc import Iterator

from judges.parsing.patterns import NUMBER, SPELLED
from judges.parsing.values import number

_TO = rf"(?:{NUMBER}) ?(?:to|through|[-–—~]|\.\.+) ?(?P<@>{NUMBER})\b"
_MOST = rf"(?:a (?:possible|maximum of|total of) |an? )?(?P<@>{NUMBER})"
_POINTS = rf"(?P<@>{NUMBER})[- ](?:point|star|mark)s?[ -](?:scale|system)\b"
_BEST = r"(?:best|perfect|highest|top|max(?:imum)?|excellent|full|ideal|flawless)"
_GRADES = r"(?:scores?|ratings?|grades?|marks|points|all scores)\b"
_NOTES = (
    r"(?:(?:note|nb|n\.b\.|p\.?s\.?|legend|key|remark|footnote|reminder|disclaimer|for reference|fyi)\b[^\w\n]*)?"
    r"(?:(?:i|we|it is|this is|the|my|this|an?|on|using|used|rating|scoring|score|grading|point|use|am using) )*"
)


def _any_of(*forms: str) -> str:
    # A pattern may have the name of a group once only.
    return "|".join(form.replace("@", f"scale_{n}") for n, form in enumerate(forms))


_BESIDE = re.compile(
    _any_of(
        rf"\bout of {_MOST}\b(?! (?!points|marks|stars|pts|credits)[a-z]+s\b)",
        rf"\bscale(?: of| from| is| was| used| goes| runs|:)*+[ (]*{_TO}",
        rf"\b{_POINTS}",
        rf"\b(?:max(?:imum)?|highest|possible|full marks)\b(?: (?:score|points?|marks?|possible|is|of))*[ .:=]*"
        rf"(?P<@>{NUMBER})\b",
        rf"\b(?P<@>{NUMBER}) (?:is|are|being|means|as|=) (?:the )?(?:very )?{_BEST}\b",
        rf"\b{NUMBER} ?(?:to|[-–—]) ?(?P<@>{NUMBER}) (?:scale|range|system)\b",
        r"^[^\d\n]{0,20}/ ?(?P<@>\d+)\b",
    ),
    re.IGNORECASE,
)
_COUNTED = re.compile(
    rf"(?:\d|\b{SPELLED}|\b(?:all|none|some|half|most|many|few|several|every))(?: [\w'’-]+){{0,3}} ?$", re.IGNORECASE
)
"""Text before "out of ten" that makes it a count of things instead of a score."""
LINE = re.compile(
    rf"^[^\w\n]*+{_NOTES}(?:"
    + _any_of(
        rf"(?:scale|(?:score|rating|grade) range|range(?= ?[:=(]))\b[^\n\d]{{0,40}}?{_TO}",
        _POINTS,
        rf"{_GRADES} (?:is|are|range|ranges|go|goes|run|runs)\b[^\n\d]{{0,30}}?{_TO}",
        rf"{_GRADES} (?:is|are|given)[^\n\d]{{0,20}}\bout of {_MOST}\b",
        rf"(?:out of|max(?:imum)?(?: possible)?(?: score| points| marks)?(?: is)?)[ :=]*{_MOST}[^\w\n]*$",
        rf"(?:scored|rated|graded|marked|measured|assessed|evaluated)\b[^\n\d]{{0,30}}?{_TO}",
        rf"(?:scored|rated|graded|marked|measured|assessed|evaluated)\b[^\n\d]{{0,30}}?out of (?P<@>{NUMBER})",
    )
    + ")",
    re.IGNORECASE | re.MULTILINE,
)
"""A line that names the scale."""


def named_scale(found: re.Match[str]) -> float | None:
    """Return the highest score in a line that names the scale."""
    group_text = next((group for group in found.groupdict().values() if group), None)
    return None if group_text is None else number(group_text)


def scales_after(rest: str) -> Iterator[float | None]:
    """Yield the scales named after a verdict on its line: 4 good marks out of ten. Counts of things are left out."""
    for match in _BESIDE.finditer(rest):
        if not _COUNTED.search(rest[: match.start()]):
            yield named_scale(match)
