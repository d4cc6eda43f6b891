"""Chooses the claim in a reply that counts as its verdict, and checks that nothing contradicts it.

One case cannot be told apart: a reply that quotes several lines, one of them in the form of a verdict, and ends there
without a verdict of its own. A reply that is cut off there is never read (`judges.parsing.verdict`).
"""

import re
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

from judges.parsing import doubts, patterns, scales
from judges.parsing.places import LOOKED_AT, WITHOUT_LABEL, Claim, differ, labelled
from judges.parsing.refusals import is_refused_after, refuses
from judges.parsing.text import QUOTED, without_markup
from judges.parsing.values import NO_VERDICT, NoVerdict, value_of
from judges.parsing.wholes import is_part, whole_differs
from judges.rubrics.rubric import Rubric

_QUOTATION_ENDS = re.compile(r"[\"”»」]")
_MEANING = re.compile(r" ?[=:(–—-]{1,2} ?[^\W\d]")
_IF_ANSWER = re.compile(r"[^.!?\n]{0,60}\b(?:if|had|were) (?:it|they|this|the|answer|response|[AB])\b", re.IGNORECASE)
_EXAMPLE = re.compile(
    r"^[ #*<\[]*(?:(?:the|next|another|new) )?(?:example|request|question|prompt|input|instruction|task|query|problem"
    r"|answer|response|submission)\b[ *]*(?:\d+|[A-Z]\b)?[ *]*(?:[:\]>]|$)",
    re.IGNORECASE | re.MULTILINE,
)
_INTRODUCES = re.compile(
    r"\b(?:reads?|says?|said|writes?|wrote|claims?|contains?|states?|ends? with|quotes?|begins?):[^\S\n]*$",
    re.IGNORECASE | re.MULTILINE,
)
"""The end of a line that introduces a quotation."""
_NEXT_TURN = re.compile(r"^[ #*]*(?:human|user|instruction)\b[ *]*:", re.IGNORECASE | re.MULTILINE)


def text_verdicts(text: str, rubric: Rubric) -> dict[str, float] | NoVerdict:
    """Return the verdict on each of the rubric's labels, or the reason for none."""
    unmarked = without_markup(text)
    quotations = list(QUOTED.finditer(text))
    names = {label: (label, *rubric.other_labels) if label == rubric.label else (label,) for label in rubric.labels}
    claims = {
        label: _unquoted([claim for name in claims_of for claim in labelled(unmarked, name, rubric)], text, quotations)
        for label, claims_of in names.items()
    }
    claims = _doubted(claims, unmarked, rubric)
    end = _turn_end(text, [claim.end for claims_of in claims.values() for claim in claims_of])
    claims = {label: [claim for claim in claims_of if claim.start < end] for label, claims_of in claims.items()}
    if not rubric.criteria and not claims[rubric.label]:
        claims[rubric.label] = _without_label(text, unmarked, quotations, rubric)

    def is_own(place: int) -> bool:
        """Return whether the text at this place is not quoted."""
        quoted = any(quotation.start() <= place < quotation.end() for quotation in quotations)
        return not (quoted or _in_quotation(text, place) or _INTRODUCES.search(unmarked, 0, place))

    verdicts: dict[str, float] = {}
    chosen = {label: _chosen(claims_of) for label, claims_of in claims.items()}
    for label, claim in chosen.items():
        if claim.value is None:
            return NoVerdict(f"{label}: {claim.error}" if rubric.criteria else str(claim.error))
        verdicts[label] = claim.value
    if not _stand_together(list(chosen.values()), [claim for claims_of in claims.values() for claim in claims_of]):
        return NoVerdict("the criteria do not stand together in the order asked for")
    if any(_lists_scale(claims_of, unmarked) for claims_of in claims.values()):
        return NoVerdict("no verdict: a list of the scale")
    other_scale = _other_scale(unmarked, rubric, is_own)
    if problem := other_scale or whole_differs(unmarked, chosen[rubric.labels[-1]], rubric, is_own):
        return NoVerdict(problem)
    last = max(claim.end for claim in chosen.values())
    lines = [[claim for claim in claims_of if claim.opens_line] for claims_of in claims.values()]
    if any(map(differ, lines)) and not _ends(text[:end], last):
        return NoVerdict("contradictory: several verdicts, and the last is not the end of the reply")
    if any(differ(claims_of) and not _settled_after(claims_of, unmarked) for claims_of in lines):
        return NoVerdict("contradictory: several verdicts, and nothing says that the last one is the answer's")
    if any(differ(claims_of) and is_part(claims_of, unmarked, is_own) for claims_of in lines):
        return NoVerdict("contradictory: several verdicts, and the last one is of a part")
    if refuses(text) or is_refused_after(unmarked[last:end]):
        return NoVerdict("no verdict: the judge refuses to give one")
    if doubts.is_taken_back(unmarked[last:end]) or _replaced(unmarked[last:end], chosen[rubric.labels[-1]], rubric):
        return NoVerdict("contradictory: the verdict is taken back")
    return verdicts


def _other_scale(text: str, rubric: Rubric, is_own: Callable[[int], bool]) -> str | None:
    """Return the error if one of the judge's own lines puts its score on another scale, else None."""
    for line in () if rubric.values else scales.LINE.finditer(text):
        if scales.named_scale(line) not in (None, rubric.high) and is_own(line.start()):
            return f"another scale than {rubric.low:g} to {rubric.high:g}: {' '.join(line[0].split())[:80]!r}"
    return None


def _settled_after(claims: list[Claim], text: str) -> bool:
    """Return whether there is text before the last of several verdicts, and no other example begins there."""
    first, last = claims[0], claims[-1]
    if _INTRODUCES.search(text, 0, first.start):
        return True  # the text before the last one is quoted
    others = [claim for claim in claims if claim.value != last.value]
    line, _, below = text[max(claim.end for claim in others) : last.start].partition("\n")
    example = _EXAMPLE.search(text, first.end, last.start)
    between = line + below if _QUOTATION_ENDS.search(line) else below  # else the line says what the verdict is of
    return bool(re.search(r"\w", between)) and not (example and not _in_quotation(text, example.start()))


def _replaced(tail: str, claim: Claim, rubric: Rubric) -> bool:
    """Return whether a line below a verdict replaces it with another one."""
    below = tail.find("\n")
    pattern = patterns.patterns_of(rubric.labels[-1], tuple(rubric.values)).below
    for match in pattern.finditer(tail, below) if below >= 0 else ():
        value = value_of(next(filter(None, match.groups())), rubric)
        on_scale = value is not None and rubric.scale[0] <= value <= rubric.scale[1]
        if _IF_ANSWER.match(tail, match.end()):
            continue  # B would be better if it had sources
        if on_scale and value != claim.value and not doubts.not_own(doubts.sentence_before(tail, match.start()), ""):
            return True
    return False


def _lists_scale(claims: list[Claim], text: str) -> bool:
    """Return whether the lines with verdicts only explain the scale, as in Score: 5 = perfect."""
    explained = [claim for claim in claims if claim.opens_line and _MEANING.match(text, claim.end)]
    return len({claim.value for claim in explained}) > 2 and explained[-1] == claims[-1]


def _turn_end(text: str, ends: list[int]) -> int:
    """Return the start of a user's next turn after a verdict, or the end of the text if there is none."""
    first = min(ends, default=None)
    turn = None if first is None else _NEXT_TURN.search(text, first)
    return turn.start() if turn and not _in_quotation(text, turn.start()) else len(text)


def _in_quotation(text: str, place: int) -> bool:
    # An odd number of marks before it: one is open. A mark within a word is none.
    return bool(len(re.findall(r'(?<!\w)"|"(?!\w)', text[:place])) % 2)


def _ends(text: str, end: int) -> bool:
    """Return whether the reply ends with the verdict that ends at `end`, except for a reason on the same line."""
    line, _, rest = text[end:].partition("\n")
    quotation = _QUOTATION_ENDS.search(line)  # the end of one that began lines before
    return not re.search(r"\w", rest + line[quotation.end() :] if quotation else rest)


def _chosen(claims: list[Claim]) -> Claim:
    """Return the claim that counts: the last that opens a line, or else the last. It has no value if none counts.

    Later claims (or, without a line-initial claim, all claims) must not contradict it.
    """
    if not claims:
        return Claim(0, 0, None, NO_VERDICT)
    lines = [claim for claim in claims if claim.opens_line]
    last = lines[-1] if lines else claims[-1]
    values = [claim.value for claim in claims if not lines or claim.start >= last.start]
    if set(values) == {last.value}:
        return last
    shown = dict.fromkeys("none" if value is None else f"{value:g}" for value in values)
    return Claim(0, 0, None, f"contradictory: {' and '.join(shown)}"[:200])


def _stand_together(chosen: list[Claim], claims: list[Claim]) -> bool:
    """Return whether the verdicts on several criteria form one list. If not, some of them may be quoted."""
    starts = [claim.start for claim in chosen]
    inside = [claim for claim in claims if starts[0] <= claim.start <= starts[-1]]
    return len(chosen) == 1 or (starts == sorted(starts) and len(inside) == len(chosen))


def _doubted(claims: dict[str, list[Claim]], text: str, rubric: Rubric) -> dict[str, list[Claim]]:
    """Return `claims`, without the values of those that are hedged or taken back by the words around them."""
    starts = sorted({claim.start for claims_of in claims.values() for claim in claims_of})
    ends = dict(pairwise([*starts, len(text)]))  # the words of the next verdict belong to that one

    def rest_of(claim: Claim) -> str:
        return text[claim.end : min(ends[claim.start], claim.end + doubts.LOOKED_AT)].partition("\n")[0]

    return {
        label: [_doubted_by(claim, text, rest_of(claim), label, rubric) for claim in claims_of]
        for label, claims_of in claims.items()
    }


def _doubted_by(claim: Claim, text: str, rest: str, label: str, rubric: Rubric) -> Claim:
    """Return `claim`, without its value if the words before it or `rest` after it hedge it or take it back."""
    if claim.value is None:
        return claim
    if "[" in text[claim.start : claim.end] and "]" not in text[claim.start : claim.end] + rest:
        return _without_value(claim, text, "no verdict: its bracket is not closed")
    if (patterns.WORD_GOES_ON if rubric.values else patterns.NUMBER_GOES_ON).match(rest):
        return _without_value(claim, text, "no verdict: it goes on")
    if not rubric.values and any(scale != rubric.high for scale in scales.scales_after(rest)):
        return _without_value(claim, text, f"another scale than {rubric.low:g} to {rubric.high:g}")
    hedged = doubts.is_hedged(rest, is_word=bool(rubric.values))
    if hedged or doubts.is_hedged_before(doubts.sentence_before(text, claim.start)):
        return _without_value(claim, text, "no verdict: it is hedged")
    if rubric.criteria and doubts.is_taken_back(rest):  # else it is looked for after the verdict that counts
        return _without_value(claim, text, "contradictory: taken back")
    forms = patterns.patterns_of(label, tuple(rubric.values))
    others = [value_of(other["another"], rubric) for other in forms.another.finditer(rest)]
    others += [value_of(other["another"], rubric) for other in forms.beside.finditer(rest)]
    if set(others) - {claim.value} and not doubts.add_up(others, claim.value):
        return _without_value(claim, text, "contradictory")
    return claim


def _without_value(claim: Claim, text: str, why: str) -> Claim:
    return replace(claim, value=None, error=f"{why}: {' '.join(text[claim.start : claim.end + 40].split())[:80]!r}")


def _without_label(text: str, unmarked: str, quotations: list[re.Match[str]], rubric: Rubric) -> list[Claim]:
    """Return unmistakable verdicts without the rubric's label, of the first kind that occurs."""
    for kind in WITHOUT_LABEL:
        if claims := _unquoted(list(kind(unmarked, rubric)), text, quotations):
            return _doubted({rubric.label: claims}, unmarked, rubric)[rubric.label]
    return []


def _unquoted(claims: list[Claim], text: str, quotations: list[re.Match[str]]) -> list[Claim]:
    """Return the claims that are not quoted, in order."""
    starts = [quotation.start() for quotation in quotations]
    # Quotations do not overlap, so only the last one that begins before a claim can hold it.
    places = [(claim, bisect_right(starts, claim.start) - 1) for claim in sorted(claims, key=lambda claim: claim.start)]
    return [claim for claim, i in places if i < 0 or not _quotes(quotations[i], claim, text)]


def _quotes(quotation: re.Match[str], claim: Claim, text: str) -> bool:
    if claim.end > quotation.end():
        return False
    before = text[max(0, quotation.start() - LOOKED_AT) : quotation.start()].rpartition("\n")[2]
    after = text[quotation.end() : quotation.end() + LOOKED_AT].partition("\n")[0]
    return bool(quotation[0][0] == ">" or re.search(r"\w", before + after))  # marks around a whole line are an ornament
