"""Finds the one place where the text of a reply names its choice.

A reply names a choice after the label that it was asked for (`Score: 4`), or by consisting of the choice alone. A
choice-like word anywhere else is part of a sentence. If anything contradicts the choice, there is no place: another
choice beside it, a number that goes on, a word that takes it back.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from engines.served.choices.spelling import WIDE, Spelling

Agrees = Callable[[str, str], bool]
"""Tells whether a reader of a text reads a choice from it."""

# Possessive quantifiers (*+, ++) never go back, so the time stays linear in whatever a model wrote.
_OPENED = r"""(?:<\|begin_of_box\|>|\\?boxed(?=\{)|\\text(?=\{)|[\s*_`"'“”‘’«»「」()\[\]{}<$])*+"""
_CLOSED = r"""(?:<\|end_of_box\|>|[*_`"'“”‘’«»「」()\[\]{}>$])*+"""
_ANY_LABEL = r"(?<![^\n])[^\W\d]\w*+(?: [^\W\d]\w*+){0,2}(?=:)"
_LABEL_ENDS = r"""[*_`"'”’)\]]*+(?:[^\S\n]*+\([^()\n]{0,40}\)[*_`"'”’]*+)?"""
_SEPARATOR = r"[^\S\n]*+(?P<separator>:|=|\||[-=]>|→|–|—|is\b:?|was\b|)"
_THING = r"(?:(?:answer|response|assistant|option|choice|one)\b[^\S\n]*+)?"
_BEFORE_LABEL = re.compile(
    r"(?:^|\n|[^\w\s-]|(?<!\w)-|\b(?:the|my|own|final|overall|total|so))[^\S\n]*+[*_`\"'“‘(\[{#]*+\Z", re.IGNORECASE
)
"""Text before a label. After another word the label means something else, such as a BLEU score or a high score."""
_OPENS_LINE = re.compile(
    r"(?:^|\n)[^\w\n]*+(?:\d{1,2}[.)][^\w\n]*+)?(?:(?:my|own|the|final|overall|total)[^\w\n]+){0,3}\Z", re.IGNORECASE
)
_LOOKED_AT = 60
_UNIT = r"(?:[^\S\n]*+(?:points?|pts?|stars?)\b)?"
_FULL_STOP = r"[.!]?"
_REASON = r"(?:because|since|due|as|for|with|given|based)\b"
_GOES_ON = re.compile(r"[\w%‰°²³¹⁰⁴-⁹¼-¾⅐-⅞⁄\u0300-\u036f\u20d0-\u20ff]|[.,]\d|[^\S\n]*+[?%/]|[^\S\n]?[<>=]+[^\S\n]?\w")
"""Text that makes a choice part of something longer: 4.5, 42, 4/10, 4 %, answer, A>B, 4?"""
_OF_ALL = r"[^\S\n]*+/[^\S\n]*+(?P<scale>\d++)(?![.,]\d)"
"""The scale after a number: 4/5."""
_OTHER = r"[^\S\n]*+(?:[-–—~+&,;|/→>]|->|\.\.+|\b(?:or|and|to|vs|through|versus)\b)[^\w\n]*+(?:the )?"
_AGAINST = re.compile(
    r"[^\w\n]*+\b(?:but|though|although|however|if|unless|yet|except|nor|leaning|bordering|or|to|maybe|perhaps)\b",
    re.IGNORECASE,
)
_TAKEN_BACK = re.compile(
    r"\b(?:actually|correction|corrected|wait|hmm|scratch that|on second thoughts?|on reflection|i mean|i meant"
    r"|(?:let me|i) (?:will |would |should )?(?:revise|change|correct|reconsider)|make (?:that|it))\b"
    r"|(?:^|[.!;,\n])[^\w\n]*+(?:no|rather|sorry|or rather)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Place:
    """The place of a choice in a text: its first character and the one after its last."""

    start: int
    end: int
    choice: str
    settled: bool
    """True if more text follows, so that the choice is complete even if the text was cut off."""


def place_of(
    text: str, choices: Sequence[str], labels: Sequence[str] = (), *, alone: bool = True, agrees: Agrees | None = None
) -> Place | None:
    """Return the place of one of `choices` in `text`, or None if it names none or more than one.

    `alone` is true if a choice counts that is the whole text. Without labels the words before a colon are one. `text`
    is an answer without its reasoning. If the caller reads the text too (`agrees`), the last choice that it accepts
    counts. Otherwise any text beside a choice contradicts it.
    """
    plain = text.translate(WIDE)  # one for one, so that a place in `plain` is the same place in `text`
    spelling, top = Spelling.of(choices), _top(choices)
    whole, after_label = _patterns(tuple(choices), tuple(labels))

    def place(match: re.Match[str]) -> Place | None:
        named = spelling.choice(match["choice"])
        if agrees is not None and not agrees(text, named):
            return None
        return Place(*match.span("choice"), named, settled=_settled(_after_scale(plain[match.end("choice") :], top)))

    if (match := whole.fullmatch(plain)) is not None:
        return place(match) if alone and (match["scale"] is None or float(match["scale"]) == top) else None
    labelled = [match for match in after_label.finditer(plain) if _is_label(match, plain, top)]
    if agrees is not None:
        ended = [match for match in labelled if match["choice"] and not _goes_on(plain, match.end("choice"), top)]
        return next(filter(None, map(place, reversed(ended))), None)
    named_choices = {spelling.choice(match["choice"] or "") for match in labelled}
    if len(named_choices) != 1 or not labelled[0]["choice"] or not _stands(plain, labelled[0].end("choice"), choices):
        return None
    return place(labelled[0])


def _is_label(match: re.Match[str], text: str, top: float | None) -> bool:
    before = text[max(0, match.start() - _LOOKED_AT) : match.start()]
    before = before if match.start() > _LOOKED_AT else f"\n{before}"  # a text begins a line
    if not _BEFORE_LABEL.search(before):
        return False
    opens_line = bool(_OPENS_LINE.search(before))
    if not match["separator"] or "\n" in match["gap"]:  # a heading: its choice fills a line
        rest = _after_scale(text[match.end("choice") :].partition("\n")[0], top) if match["choice"] else "x"
        return opens_line and not re.search(r"\w", rest)
    return bool(match["choice"]) or opens_line


def _stands(text: str, end: int, choices: Sequence[str]) -> bool:
    """Return whether no text after a choice that ends at `end` changes it or takes it back."""
    numbers, top = all(_is_number(choice) for choice in choices), _top(choices)
    after = _after_scale(text[end:], top)
    rest = _after_signs(after)
    if _goes_on(text, end, top) or _AGAINST.match(rest) or _TAKEN_BACK.search(after):
        return False
    other = r"\d" if numbers else "|".join(f"(?:{re.escape(choice)})(?!\\w)" for choice in choices)
    if re.match(_OTHER + f"(?:{other})", rest):
        return False
    if numbers:
        unit = re.match(_UNIT, rest)
        rest = rest[unit.end() if unit else 0 :]
        scale = re.match(r"[^\S\n]*+out of (?:a possible )?(?P<scale>\d+)(?![\d.,]*\d)", rest)
        if scale and float(scale["scale"]) == top:
            rest = rest[scale.end() :]
        if re.search(r"\d", rest.partition("\n")[0]):
            return False
    return re.match(rf"[^\S\n]*+(?:\Z|\n|[^\w\s]|{_REASON})", rest, re.IGNORECASE) is not None


def _goes_on(text: str, end: int, top: float | None) -> bool:
    """Return whether a choice that ends at `end` is part of something longer."""
    after = _after_scale(text[end : end + _LOOKED_AT], top)
    return any(map(_GOES_ON.match, (after, _after_signs(after))))


def _after_scale(after: str, top: float | None) -> str:
    """Return the text after a choice without a scale that ends with the highest choice, such as /5."""
    scale = re.match(_CLOSED + _OF_ALL, after)
    return after[scale.end() :] if scale and float(scale["scale"]) == top else after


def _top(choices: Sequence[str]) -> float | None:
    """Return the highest of choices that are numbers."""
    return max(map(float, choices)) if all(map(_is_number, choices)) else None


def _after_signs(text: str) -> str:
    closed = re.match(_CLOSED, text)
    return text[closed.end() if closed else 0 :]


def _settled(after: str) -> bool:
    """Return whether the text after a choice completes it, although the text itself was cut off."""
    return re.match(rf"{_CLOSED}(?:[^\S\n]*+\n|[.,;:!)]?[^\S\n]++\S|[.!][^\S\n]*+\n)", after) is not None


@lru_cache(maxsize=256)
def _patterns(choices: tuple[str, ...], labels: tuple[str, ...]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return the patterns of a choice that is the whole text, and of one after a label."""
    numbers = all(_is_number(choice) for choice in choices)
    # The longest first, because an alternation takes the first that fits: `1` would win over `10`.
    choice = "|".join(map(_spaced, sorted(choices, key=len, reverse=True)))
    unit, thing = (_UNIT, "") if numbers else ("", _THING)
    # Without numbers a group that never fits, so that match["scale"] can be asked for.
    scale = f"(?:{_CLOSED}{_OF_ALL})?" if numbers else "(?P<scale>(?!))?"
    whole = rf"{_OPENED}{thing}{_OPENED}(?P<choice>{choice}){scale}{unit}{_CLOSED}{_FULL_STOP}{_CLOSED}\s*+"
    names = "|".join(_spaced(label) for label in sorted(labels, key=len, reverse=True) if label.strip())
    after = (
        rf"(?<![^\W_])(?:{names or _ANY_LABEL})(?![^\W_]){_LABEL_ENDS}(?:[^\S\n]*+{thing})?{_SEPARATOR}"
        rf"(?P<gap>{_OPENED})"
        rf"(?:(?:the )?{thing}{_OPENED}(?P<choice>{choice}))?"
    )
    return re.compile(whole, re.IGNORECASE), re.compile(after, re.IGNORECASE)


def _spaced(words: str) -> str:
    return r"[\s_]++".join(map(re.escape, words.split()))


def _is_number(choice: str) -> bool:
    return re.fullmatch(r"[-+]?\d+(?:\.\d+)?", choice) is not None
