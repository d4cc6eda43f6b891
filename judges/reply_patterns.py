"""The patterns by which a verdict is found in a reply; each takes time linear in the reply's length.

Repetitions are possessive (`*+`, `++`, `?+`) wherever what follows could match the same characters, so that a pattern
which fails gives up at once instead of trying every way of sharing them out.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u20e3\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff"
)
"""Characters that no one sees, for a class of a regular expression: a 4, one of these and a 2 are forty-two."""
SPACES = "\t\u00a0\u1680\u2000-\u200a\u202f\u205f\u2800\u3000"
BREAKS = "\r\v\f\x1c-\x1e\x85\u2028\u2029"
WIDE = "\uff01-\uff5e"
_ODD = re.compile(f"[{INVISIBLE}{SPACES}{BREAKS}{WIDE}\u2212]")


def _codes(characters: str) -> Iterator[int]:
    for first, last, one in re.findall("(.)-(.)|(.)", characters, re.DOTALL):
        yield from range(ord(first or one), ord(last or one) + 1)


_PLAIN: dict[int, str | None] = {0x2212: "-"}
_PLAIN |= {code: chr(code - 0xFEE0) for code in _codes(WIDE)}
_PLAIN |= dict.fromkeys(_codes(SPACES), " ") | dict.fromkeys(_codes(BREAKS), "\n") | dict.fromkeys(_codes(INVISIBLE))
_MARKUP = re.compile(r"[*_`\\$]")

_WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
SPOKEN = dict(zip(_WORDS, map(float, range(11)), strict=True))
NUMERALS = dict(zip("零一二三四五六七八九十", map(float, range(11)), strict=True)) | {"〇": 0.0}
HAN = "".join(NUMERALS)

DIGITS = r"[-+]?\d++(?:[.,٫]\d++)?+"
S = " {0,4}+"
FIGURE = rf"(?:{DIGITS}|[{HAN}])"
NUMBER = rf"(?:{FIGURE}|(?:{'|'.join(SPOKEN)})\b)"
SUM = rf"(?:(?:{DIGITS}{S}\+{S})++{DIGITS}{S}={S})?+"
HALF = rf"(?P<half>{S}½|{S}1/2|{S}and (?:a|one) half|分?半)?+"
POINTS = rf"(?:{S}(?:points?|pts?|stars?)\b|[分点])?+"
WHOLE = (
    rf"(?![a-z\d+‰°²³¹⁰⁴-⁹¼-¾⅐-⅞⁄\u0300-\u036f\u20d0-\u20ff{HAN}]|[.,]\d"
    rf"|{S}(?:[%?]|per ?cent|(?:is|was|would|could|might)\b))"
)
CLOSED = r"""[\])}>"'”’ ]*+"""
SCALE = (
    rf"(?:{CLOSED}\(?(?:/|(?:out of|of|over|on a scale (?:of|from))\b){S}(?:(?:a possible|a maximum of|the) )?"
    rf"(?:\d+ ?(?:-|–|to) ?)?(?P<scale>{NUMBER}))?+"
)
MORE_NUMBERS = (
    rf"(?P<more>{CLOSED}(?:[-–—/]{NUMBER}|(?:to|or|through|vs)\b[ \[(\"'“‘]*+{NUMBER}"
    rf"|(?:[-–—~+=×/&,;|]|->|→|\.\.+|and\b)[ \[(\"'“‘]*+{FIGURE}))?+"
)
ONE_NUMBER = rf"{SUM}(?P<verdict>{NUMBER}){HALF}{POINTS}{WHOLE}{SCALE}{MORE_NUMBERS}"

AFTER_LABEL = r"""["'”’)\]} ]*+(?:\([^()\n]{0,40}\)["'”’ ]*+)?+"""
SEPARATOR = r"(?P<separator>[:=|>→]++(?:-(?=\s))?+|-++>?(?=\s)|[–—]++|is\b:?+|)"
OPENED = r"""(?P<gap>(?:</\w{1,9}>|[\s"'“‘«「<(\[{}]|(?:boxed|text\w{0,3}|math\w{0,3})(?= ?\{))*+)"""
THING = r"(?:(?:answer|response|assistant|option|judge?ment)\b *)?"

OPENS_LINE = re.compile(
    r"[^\w\n]*+(?:\d{1,2}[.)][^\w\n]*+)?(?:(?:my|own|the|final|overall|total)[^\w\n]+){0,3}", re.IGNORECASE
)
"""What may stand before a label that opens a line."""
BEFORE_LABEL = re.compile(r"(?:[^\w\s-]|(?<!\w)-|\b(?:the|my|own|final|overall|total|this|it|so)) *$", re.IGNORECASE)
"""What may stand before a label within a line; after another word it is another thing: a BLEU score, a high score."""
REST_IS_EMPTY = re.compile(r"[^\w\n]*+$", re.MULTILINE)

QUOTED = re.compile(
    r""""(?<![\\\w]")(?:[^"\\\n]|\\.)*+(?:"|\Z)|“[^“”\n]*+(?:”|\Z)|«[^«»\n]*+(?:»|\Z)|「[^「」\n]*+(?:」|\Z)"""
    r"""|'(?<!\w')[^'\n]*+'(?!\w)|`[^`\n]*+`|>(?<![^\n]>)[^\n]*+"""
)
"""Quotations within a line, also one that the reply's end cuts off, and a line that Markdown quotes. Each begins with a
character of its own, which makes the search several times faster."""

_THINK = r"(?:seed:)?(?:think(?:ing)?|reasoning|thought)[>\]▷]"
REASONING_OPENS = re.compile(rf"\s*+[<\[◁]{_THINK}", re.IGNORECASE)
REASONING_ENDS = re.compile(rf"[<\[◁]/{_THINK}", re.IGNORECASE)


@dataclass(frozen=True)
class Patterns:
    """The patterns for one label and, where the verdict is a word, its words."""

    label: re.Pattern[str]
    claim: re.Pattern[str]
    """What follows the label."""
    marked: re.Pattern[str]
    """A verdict without its label, in double brackets or boxed."""
    alone: re.Pattern[str]
    """A verdict with nothing else; `named` where it is said to be what the label asks for: A is better."""
    ends: re.Pattern[str]
    """What must follow a word, so that it does not begin a sentence about something else: no constraint is broken."""


@lru_cache(maxsize=256)
def patterns_of(label: str, words: tuple[str, ...]) -> Patterns:
    """Return the patterns for verdicts after `label`: one of `words`, or a number where there are none."""
    name = _in_any_case(label)
    thing = THING if words else ""
    verdict = rf"(?:an? |the )?{thing}{_one_word(words) if words else ONE_NUMBER}"
    return Patterns(
        _label_pattern(name),
        _compiled(rf"{AFTER_LABEL}{thing}{SEPARATOR}{OPENED}(?:{verdict})?"),
        _compiled(rf"(?:\[\[|\bboxed ?\{{)[ \"'<(]{{0,4}}+(?:text\w{{0,3}} ?\{{ {{0,4}}+)?{verdict}{S}(?:\]\]|\}})"),
        _compiled(rf"{OPENED}{verdict}(?P<named> is (?:the )?{name}\b)?[\s.!\"'”’»」>)\]}}]*+"),
        _compiled(rf" *+(?:$|[^\w\s]|(?:because|since|due to|between)\b|is (?:the )?{name}\b)"),
    )


def _label_pattern(name: str) -> re.Pattern[str]:
    if not name[:1].isalpha():
        return _compiled(rf"{name}(?![^\W_])")
    # With a set of two letters in front the search skips everything else, and is several times faster.
    return re.compile(rf"[{name[0].lower()}{name[0].upper()}](?i:{name[1:]})(?![^\W_])")


def _one_word(words: tuple[str, ...]) -> str:
    longest_first = sorted(words, key=len, reverse=True)
    # A second letter counts only as the rubric has it: in "A, a better answer" the second a is no verdict.
    second = "|".join(f"(?-i:{re.escape(word)})" if len(word) == 1 else _in_any_case(word) for word in longest_first)
    more = rf"(?P<more>{CLOSED}(?:(?:or|and|vs)\b|[/,&+|])[ \[(\"'“‘]*+(?:the )?{THING}(?:{second})(?![\w<>=]))?+"
    return rf"(?P<verdict>{'|'.join(map(_in_any_case, longest_first))})(?!\w| ?[<>=]+ ?\w|{S}\?){more}"


def _in_any_case(words: str) -> str:
    """Return a pattern for `words` however they are spaced: between two words a space, around signs perhaps one."""
    parts = re.findall(r"[^\W_]+|[^\w\s]+", words)
    gaps = [" +" if a[-1].isalnum() and b[0].isalnum() else " *" for a, b in pairwise(parts)]
    return "".join(re.escape(part) + gap for part, gap in zip(parts, [*gaps, ""], strict=True))


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE | re.MULTILINE)


def plain(reply: str) -> str:
    """Return `reply` without invisible characters, with plain spaces and line ends, and wide characters made narrow."""
    return reply.translate(_PLAIN) if _ODD.search(reply) else reply  # nearly always the latter, which is faster


def without_markup(text: str) -> str:
    """Return `text`, as long as before, with a space for each sign of emphasis, code or mathematics."""
    return _MARKUP.sub(" ", text)


def key_of(word: str) -> str:
    """Return `word` without what makes no difference: case, and how it is spaced."""
    return re.sub(r" ?([^\w ]+) ?", r"\1", re.sub(r"[\s_]+", " ", word)).strip().lower()
