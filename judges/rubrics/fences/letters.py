"""Folds a text into the letters and brackets that a reader takes it for, and keeps the origin of each."""

import html
import re
import tomllib
import unicodedata
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from urllib.parse import unquote

from judges.rubrics.fences.invisible import INVISIBLE

HERE = Path(__file__).parent
ROUNDS = 4
"""Passes of decoding. `&amp;lt;` and `%253C` take two."""
_RUNS = re.compile(r"[\x00-\x7f]+|[^\x00-\x7f]+")
_UNSEEN = re.compile(f"[{INVISIBLE}]")
_UNIT = re.compile(
    r"&(?:\#\d{1,7}|\#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});?"  # HTML
    r"|%[0-7][0-9a-fA-F]|(?:%[89a-fA-F][0-9a-fA-F])+"  # URLs
    r"|\\(?:u\{?0{0,4}[0-9a-fA-F]{2,6}\}?|U[0-9a-fA-F]{8}|x[0-9a-fA-F]{2}|[0-7]{2,3})|\\N\{[A-Za-z0-9 -]{3,60}\}"
    r"|U\+[0-9a-fA-F]{4,6}"
    r"|=[0-9A-F]{2}"  # quoted-printable
    r"|\+A[A-Za-z0-9]{2}-"  # UTF-7
    r"|<!--[^<>/]{0,200}-->"
)
_ASCII = str.maketrans("{}\\", "[]/")
_UTF_7 = {"+ADw-": "<", "+AD4-": ">", "+AC8-": "/", "+AFs-": "[", "+AF0-": "]"}


@dataclass(frozen=True)
class Folded:
    """A folded text. Character n was made of `text[starts[n] : ends[n]]`."""

    text: str
    starts: list[int] | range
    ends: list[int] | range


@cache
def table() -> dict[str, dict[str, str]]:
    """Return the letters, signs and brackets that look like others, from the file beside this one."""
    file = tomllib.loads((HERE / "lookalikes.toml").read_text(encoding="utf-8"))
    letters = {name: value for name, value in file.items() if isinstance(value, str)}
    return {"letters": letters, "signs": file["signs"], "brackets": file["brackets"]}


def fold(text: str, *, tag_letters: bool = True) -> Folded:
    """Return `text` as a reader takes it: in plain lower-case letters, with only `<`, `>`, `[`, `]`, `/` and `|`.

    Entities and escapes are decoded, and invisible characters are left out. Unicode's tag characters are invisible
    too. With `tag_letters` they become the letters that they stand for.
    """
    now = as_it_is = Folded(text, range(len(text)), range(1, len(text) + 1))
    for _ in range(ROUNDS):
        decoded = _decoded(now)
        if decoded is None:
            break
        now = decoded
    if now is as_it_is and text.isascii():  # most texts, many times faster
        return Folded(text.lower().translate(_ASCII), now.starts, now.ends)
    return _plain(now, tag_letters)


def _decoded(now: Folded) -> Folded | None:
    """Return the text with its entities and escapes decoded, or None if there are none."""
    text: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    done, n_decoded = 0, 0
    for unit in _UNIT.finditer(now.text):
        meant = _meant(unit[0])
        if meant == unit[0]:
            continue
        text += now.text[done : unit.start()], meant
        starts += [*now.starts[done : unit.start()], *[now.starts[unit.start()]] * len(meant)]
        ends += [*now.ends[done : unit.start()], *[now.ends[unit.end() - 1]] * len(meant)]
        done, n_decoded = unit.end(), n_decoded + 1
    if not n_decoded:
        return None
    return Folded("".join([*text, now.text[done:]]), [*starts, *now.starts[done:]], [*ends, *now.ends[done:]])


def _meant(unit: str) -> str:
    """Return the characters that an entity or an escape stands for, or itself."""
    if unit[0] == "&":
        return html.unescape(unit)
    if unit[0] == "%":
        return unquote(unit, errors="replace")
    if unit[0] == "<":
        return ""
    if unit[0] == "+":
        return _UTF_7.get(unit, unit)
    if unit.startswith("\\N"):
        try:
            return unicodedata.lookup(unit[3:-1])
        except KeyError:  # no such name: it is text
            return unit
    octal = unit[0] == "\\" and unit[1] not in "uUx"
    digits = re.sub(r"^(?:U\+|\\[uUx]\{?|[\\=])|\}$", "", unit)
    code = int(digits, 8 if octal else 16)
    return chr(code) if 0x20 <= code < 0x110000 and not 0xD800 <= code < 0xE000 else unit


def _plain(now: Folded, tag_letters: bool) -> Folded:
    text: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for run in _RUNS.finditer(now.text):
        start, end = run.span()
        if run[0].isascii():
            text.append(run[0].lower().translate(_ASCII))
            starts += now.starts[start:end]
            ends += now.ends[start:end]
            continue
        for place, character in enumerate(run[0], start):
            hidden = tag_letters and 0xE0020 <= ord(character) < 0xE007F
            seen = _letters(chr(ord(character) - 0xE0000) if hidden else character)
            text.append(seen)
            starts += [now.starts[place]] * len(seen)
            ends += [now.ends[place]] * len(seen)
    return Folded("".join(text), starts, ends)


@lru_cache(maxsize=1 << 14)
def _letters(character: str) -> str:
    if (sign := _signs().get(character)) is not None:
        return sign
    if _UNSEEN.match(character):
        return ""
    plain = unicodedata.normalize("NFKD", character)
    seen = "".join(letter for letter in plain if not unicodedata.combining(letter)).casefold()
    return "".join(_signs().get(letter) or _only().get(letter, letter) for letter in seen)


@cache
def _only() -> dict[str, str]:
    """Return the letter of each look-alike that stands for a single letter. The others are in `several`."""
    letter_of: dict[str, str] = {}
    for letter, alike in table()["letters"].items():
        for character in alike:
            letter_of[character] = "" if character in letter_of else letter  # "" if it looks like two letters
    return {character: letter for character, letter in letter_of.items() if letter}


@cache
def several(letter: str) -> str:
    """Return the look-alikes of `letter` that stay in a folded text, because they also stand for another letter."""
    return "".join(character for character in table()["letters"].get(letter, "") if character not in _only())


@cache
def _signs() -> dict[str, str]:
    shapes = table()["brackets"]
    meant = {"other_open": "[", "other_close": "]", "open": "<", "close": ">", "slash": "/", "pipe": "|"}
    return {character: sign for name, sign in meant.items() for character in shapes[name]}
