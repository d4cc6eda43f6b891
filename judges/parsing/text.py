"""Normalises a reply to plain characters, as a reader sees it."""

import re
from collections.abc import Iterator

from judges.rubrics.fences.invisible import INVISIBLE

SPACES = "\t\u00a0\u1680\u2000-\u200a\u202f\u205f\u2800\u3000"
BREAKS = "\r\v\f\x1c-\x1e\x85\u2028\u2029"
WIDE = "\uff01-\uff5e"
LIKE = {
    "-": "\u2010\u2011\u2012\u2212\u2043\u02d7\u2796\ufe63",
    "\u2014": "\u2015\ufe58\u2e3a\u2e3b",
    "/": "\u2044\u2215\u29f8\u2571",
    "~": "\u223c\u301c\u2053\u3030\u02dc\u223d",
    ":": "\u2236\ua789\ufe55\ufe13\u02d0",
    ".": "\u2024\ufe52",
    ",": "\u201a\u060c\ufe50",
    "%": "\u066a\ufe6a",
}
"""Other characters that look like these."""
_ODD = re.compile(f"[{INVISIBLE}{SPACES}{BREAKS}{WIDE}{''.join(LIKE.values())}\u226a\u226b&]")
_ENTITY = re.compile(r"&(gt|lt|amp|quot|nbsp|#62|#60);")
_ENTITIES = {"gt": ">", "#62": ">", "lt": "<", "#60": "<", "amp": "&", "quot": '"', "nbsp": " "}


def _codes(characters: str) -> Iterator[int]:
    for first, last, single in re.findall("(.)-(.)|(.)", characters, re.DOTALL):
        yield from range(ord(first or single), ord(last or single) + 1)


_PLAIN: dict[int, str | None] = {0x226A: "<<", 0x226B: ">>"}
_PLAIN |= {ord(char): sign for sign, alike in LIKE.items() for char in alike}
_PLAIN |= {code: chr(code - 0xFEE0) for code in _codes(WIDE)}  # full-width signs stand in the order of ASCII
_PLAIN |= dict.fromkeys(_codes(SPACES), " ") | dict.fromkeys(_codes(BREAKS), "\n") | dict.fromkeys(_codes(INVISIBLE))

_STARS = re.compile(r"(?P<told>\d(?:[.,]\d)?(?: ?/ ?\d{1,2})?[*_) ]{0,4})?(?P<row>[★⭐🌟☆✩✰⚝½]{2,})")
_STRUCK = re.compile(
    r"~~[^~\n]++~~|<(s|del|strike)\b[^<>\n]{0,40}>[^<\n]*+(?:</\1>|$)|\\(?:cancel|sout)\{[^{}\n]*+\}",
    re.IGNORECASE | re.MULTILINE,
)
_MARKUP = re.compile(
    r"""[*_`\\]|\$(?!\d[^$\n]*+(?:\n|\Z))|<\|(?:begin|end)_of_box\|>|</?(?:b|i|u|p|br|em|strong|span|div|font|code|pre|h[1-6]|li|ul|ol|t[dhr]
    |table|tbody|center|mark|small|big|answer|output|response|result|final(?:_answer)?|conclusion)(?:\ [^<>\n]{0,60})?
    \ ?/?>""",
    re.IGNORECASE | re.VERBOSE,
)

QUOTED = re.compile(
    r""""(?<![\\\w]")(?:[^"\\\n]|\\.)*+(?:"|\Z)|“[^“”\n]*+(?:”|\Z)|«[^«»\n]*+(?:»|\Z)|「[^「」\n]*+(?:」|\Z)"""
    r"""|'(?<!\w')[^'\n]*+'(?!\w)|`[^`\n]*+`|>(?<![^\n]>)[^\n]*+"""
)
"""Quotations within a line, also one that the reply's end cuts off, and a line that Markdown quotes. Each begins with a
character of its own, which makes the search several times faster."""


def plain(reply: str, stars: float = 0) -> str:
    """Return `reply` without invisible characters, with plain spaces and line ends, and wide characters made narrow.

    Struck-out text becomes signs without meaning. A row of `stars` stars, the first of them full, becomes the number of
    full ones.
    """
    if _ODD.search(reply):  # nearly always not, which is faster
        reply = _ENTITY.sub(lambda entity: _ENTITIES[entity[1]], reply.translate(_PLAIN))
    if "★" in reply or "⭐" in reply or "🌟" in reply:
        reply = _STARS.sub(lambda found: _counted(found, stars), reply)
    return _STRUCK.sub(lambda struck: "~" * len(struck[0]), reply)


def _counted(found: re.Match[str], stars: float) -> str:
    told, star_row = found["told"] or "", found["row"]
    order = re.fullmatch("([★⭐🌟]*)(½?)([☆✩✰⚝]*)", star_row)
    if order is None or not (order[3] or len(star_row) == stars):
        return found[0]
    full = f"{len(order[1])}{'.5' if order[2] else ''}"
    same = (
        told.rstrip("*_) ").partition("/")[0].strip().replace(",", ".").removesuffix(".0") == full
        and len(star_row) == stars
    )
    return told if same else f"{told}{full}/{len(star_row)}"  # after a number that says the same they are an ornament


def without_markup(text: str) -> str:
    """Return `text`, as long as before, with spaces for signs of emphasis, code, mathematics, and layout."""
    return _MARKUP.sub(lambda sign: " " * len(sign[0]), text)


def key_of(word: str) -> str:
    """Return `word` in lower case and normal spacing."""
    return re.sub(r" ?([^\w ]+) ?", r"\1", re.sub(r"[\s_]+", " ", word)).strip().lower()
