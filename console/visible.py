"""Makes text from models, servers and files safe to print: control and hidden characters become visible.

An escape sequence that reached the terminal could move the cursor or repaint a verdict. A direction override could show
one name's letters in the order of another. A line break in a name would forge a row of a table.
"""

import unicodedata

REPLACEMENT = "\ufffd"
TAB_CELLS = 4

_JOINERS = ("\u200c", "\u200d")
_CONTROL_PICTURES = 0x2400
_BLANK_LETTERS = (0x115F, 0x1160, 0x3164, 0xFFA0)
"""Fillers of Hangul: letters by their category that are drawn as nothing."""
_DRAWN_FORMATS = (*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD)
"""Signs before a number, which are drawn. The other characters of their category are not."""
_SELECTORS = range(0xE0100, 0xE01F0)  # variation selectors, drawn as nothing: 240 of them can spell a hidden text


def is_hidden(character: str) -> bool:
    """Return whether a terminal would obey the character or show nothing: controls, directions, zero-width letters."""
    code = ord(character)
    # The last two numbers of each plane are no characters.
    if code in _BLANK_LETTERS or code in _SELECTORS or code & 0xFFFE == 0xFFFE:
        return True
    category = unicodedata.category(character)
    return category in ("Cc", "Cs", "Zl", "Zp") or (category == "Cf" and code not in _DRAWN_FORMATS)


class _Shown(dict[int, str]):
    """The visible form of each character, computed once."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        if code == ord("\n"):
            shown = character
        elif code < 0x20:
            shown = chr(_CONTROL_PICTURES + code)
        elif code == 0x7F:
            shown = "\u2421"
        else:
            shown = REPLACEMENT if is_hidden(character) else character
        self[code] = shown
        return shown


class _Escaped(dict[int, str]):
    r"""The visible form of each character in JSON, which is `\uXXXX`."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        self[code] = character if character == "\n" or not is_hidden(character) else _units(character)
        return self[code]


_SHOWN, _ESCAPED = _Shown(), _Escaped()


def visible(text: str) -> str:
    """Return `text` with tabs as spaces and every other control or hidden character but the newline as a drawn one.

    A joiner between two letters that are not ASCII stays: Persian and Indic words and emoji are written with it.
    """
    text = text.replace("\r\n", "\n").expandtabs(TAB_CELLS)
    if text.isascii() or not any(joiner in text for joiner in _JOINERS):
        return text.translate(_SHOWN)
    # Shifted by the space in front: `beyond[place]` is of the letter before, `beyond[place + 2]` of the one after.
    beyond = [character > "\x7f" for character in f" {text} "]
    parts = [
        character if character in _JOINERS and beyond[place] and beyond[place + 2] else character.translate(_SHOWN)
        for place, character in enumerate(text)
    ]
    return "".join(parts)


def one_line(text: str) -> str:
    """Return `text` as `visible` does, its line breaks visible too."""
    return visible(text).replace("\n", "\u240a")


def escaped_json(text: str, *, ascii_only: bool = False) -> str:
    r"""Return JSON that says the same with `\uXXXX` for each hidden character, or for each beyond ASCII."""
    if ascii_only:
        return "".join(_units(character) if character > "\x7f" else character for character in text.translate(_ESCAPED))
    return text.translate(_ESCAPED)


def _units(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
