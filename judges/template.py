"""Fills a rubric's prompt with texts that must not be able to speak to the judge."""

import html
import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING

from judges.options import Reading
from judges.replies.text import INVISIBLE
from records.rows import Message

if TYPE_CHECKING:
    from judges.rubric import Rubric

PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")
TAG = re.compile(r"</?[A-Za-z_][\w-]*>")
OPENING = "<＜﹤‹〈\u2329⟨˂ᐸ❬❮❰⧼«《⟪≪"
CLOSING = ">＞﹥›〉\u232a⟩˃ᐳ❭❯❱⧽»》⟫≫"
_ESCAPED = r"&\\%"


def _bracket(characters: str, entity: str, code: str) -> str:
    number = int(code, 16)
    return (
        rf"[{characters}{_ESCAPED}](?:(?<=[{characters}])|(?<=&)(?:amp;)*(?:{entity}|\#0*{number}|\#x0*{code});?"
        rf"|(?<=\\)(?:u00|x){code}|(?<=%){code})"
    )


_OPEN, _CLOSE = _bracket(OPENING, "lt", "3c"), _bracket(CLOSING, "gt", "3e")
_BRACKETED = re.compile(
    rf"(?P<open>{_OPEN})"
    rf"(?P<inside>[^{OPENING}{CLOSING}{_ESCAPED}]*+(?:(?!{_OPEN}|{_CLOSE})[{_ESCAPED}][^{OPENING}{CLOSING}{_ESCAPED}]*+)*+)"
    rf"(?P<close>{_CLOSE})?",
    re.IGNORECASE,
)
"""What stands between a bracket that opens and the next bracket, in any of the forms that a model reads as one."""
_UNSEEN = re.compile(f"[{INVISIBLE}]")
_LIKE = str.maketrans(
    "асԁеһіјӏорԛгѕтυѵԝхуɑοαενιрɡıոηω∕⁄╱⧸⟋\\ᴀʙᴄᴅᴇɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢ",
    "acdehijlopqrstuvwxyaoaevipginnw//////abcdeghijklmnoprstuvwyz",
)
"""Letters and strokes that look like Latin ones."""
REASONING = ("think", "thinking", "reasoning", "thought")
"""Tags between which models think; whoever reads replies knows them."""


def fill(rubric: "Rubric", read: Reading, texts: dict[str, str]) -> list[Message]:
    """Return the chat that asks the judge, with `texts` in the rubric's placeholders.

    All placeholders are filled in one pass, so braces in a text are text. What a model might read as one of the
    rubric's own tags is taken apart where a text contains it; the engine does the same with its model's special tokens.
    """
    parts = {name: taken_apart(text, rubric.tags) for name, text in texts.items() if name in rubric.placeholders}
    parts["closing"] = getattr(rubric.closing, read)
    if rubric.criteria:
        parts["criteria"] = "\n".join(f"- {c.name} (weight {c.weight:g}): {c.description}" for c in rubric.criteria)
    pieces = list(_pieces(rubric.prompt))
    pieces[1::2] = [parts.get(name, "") for name in pieces[1::2]]
    return [{"role": "user", "content": "".join(pieces)}]


def missing(rubric: "Rubric", texts: dict[str, str]) -> str | None:
    """Return why `texts` cannot fill the rubric's prompt, or None where they can."""
    for name in sorted(rubric.placeholders - texts.keys() - {"closing", "criteria"}):
        return f"the rubric '{rubric.name}' shows a {name}, and the row has none"
    return None


def tags_in(text: str) -> tuple[str, ...]:
    """Return the tags that stand in the text of a prompt, each once, in alphabetical order."""
    return tuple(sorted(set(TAG.findall(text))))


def taken_apart(text: str, tags: tuple[str, ...]) -> str:
    """Return `text` with square brackets around whatever a model might read as one of `tags`.

    That is the tag in any case and spacing, with attributes, in look-alike letters and brackets, with invisible
    characters or entities in it, a closing tag that lacks its bracket or the end of its name, and besides the tags of
    reasoning and of chat templates. Everything else stays as it is: HTML, XML, generics (`List<Answer>`), a < b.
    """
    if text.isascii() and not any(sign in text for sign in "<&%\\"):
        return text  # most texts, a hundred times faster
    pattern = _tag_pattern(tags)

    def apart(found: re.Match[str]) -> str:
        inside, before = found["inside"], text[found.start() - 1 : found.start()]
        tag = pattern.match(_folded(inside))
        if tag is None:
            return found[0]
        if not tag["sure"] and (not found["close"] or (before.isalnum() and inside.istitle())):
            return found[0]  # the sign for less, or the parameter of a type
        return f"[{inside}{']' if found['close'] else ''}"

    return _BRACKETED.sub(apart, text)


@lru_cache(maxsize=64)
def _tag_pattern(tags: tuple[str, ...]) -> re.Pattern[str]:
    """Return a pattern for what stands between the brackets of `tags`, in folded letters."""
    names = {tag.strip("</>").lower() for tag in tags}
    # A closing tag need not be named in full: </answer> may well close <answer_a>.
    ends = names | {part for name in names for part in name.split("_") if len(part) > 1}
    begin, end = ("|".join(map(_spread, sorted({*some, *REASONING}, key=len, reverse=True))) for some in (names, ends))
    return re.compile(
        rf"(?P<sure>\s*/[\s/]*(?:{end})(?![\w-])|\|[^\s|]{{2,}}\|\Z)"
        rf"|\s*(?:{begin})[\s/]*\Z|(?:{begin})\s+[\w:.-]+\s*="
    )


def _spread(name: str) -> str:
    return r"[\s_-]*".join(re.escape(letter) for letter in name if letter.isalnum())


def _folded(text: str) -> str:
    """Return `text` in the plain letters that a reader takes it for."""
    seen = html.unescape(text) if "&" in text else text
    if seen.isascii():
        return seen.lower().replace("\\", "/")
    letters = unicodedata.normalize("NFKD", _UNSEEN.sub("", seen))
    return "".join(c for c in letters if not unicodedata.combining(c)).casefold().translate(_LIKE)


@lru_cache(maxsize=64)
def _pieces(prompt: str) -> tuple[str, ...]:
    """Return the prompt's texts and, between them, the names of its placeholders."""
    return tuple(PLACEHOLDER.split(prompt))
