"""Tells the score of the whole answer from that of a part."""

import re
from collections.abc import Callable

from judges.parsing.patterns import DIGITS, SPELLED, UNIT
from judges.parsing.places import Claim
from judges.parsing.values import value_of
from judges.rubrics.rubric import Rubric

_PARTS = re.compile(
    r"^[^\w\n]*+(?:(?:score|scores|detailed|rating|full|here is|the|my|point) )*+"
    r"(?:breakdown|sub-?scores?|details?|components?|per[- ](?:criteri\w+|aspect|categor\w+)"
    r"|by (?:criteri\w+|categor\w+|aspect)|criteria|itemi[sz]ed\b[^\n]{0,20}|individual scores?|aspects?|dimensions?"
    r"|categor(?:y|ies))\b[^\n]{0,30}$",
    re.IGNORECASE | re.MULTILINE,
)
"""A line below which the parts of a score are listed."""
_LINE = re.compile(
    r"^[^\w\n]*+(?:(?:final|overall|total|combined|average|my) )*+"
    r"(?P<name>overall|total|final|sum|average|mean|combined|verdict|rating|grade|result|final answer)"
    rf"[^\w\n=]{{1,4}}+(?P<whole>{DIGITS}|{SPELLED})(?: ?/ ?\d+| out of \w+)?(?: {UNIT})?[^\w\n]*$",
    re.IGNORECASE | re.MULTILINE,
)
"""A line that gives a score under another name than the label."""


def whole_differs(text: str, claim: Claim, rubric: Rubric, is_own: Callable[[int], bool]) -> str | None:
    """Return the error if one of the judge's own lines gives the whole another score under another name.

    `is_own` tells whether a place in the text is the judge's own words.
    """
    if rubric.values or rubric.criteria:
        return None
    labels = {name.lower() for name in (rubric.label, *rubric.other_labels)}
    for line in _LINE.finditer(text):
        value = value_of(line["whole"], rubric)
        on_scale = value is not None and rubric.scale[0] <= value <= rubric.scale[1]
        if on_scale and value != claim.value and line["name"].lower() not in labels and is_own(line.start()):
            return f"contradictory: {' '.join(line[0].split())[:80]!r}"
    return None


def is_part(claims: list[Claim], text: str, is_own: Callable[[int], bool]) -> bool:
    """Return whether the last of several verdicts is of a part: the whole's comes first, or a list of parts begins."""
    last = claims[-1]
    if last.is_final or not is_own(claims[0].start):
        return False
    whole = any(claim.is_final and claim.value != last.value for claim in claims)
    return whole or bool(_PARTS.search(text, claims[0].end, last.start))
