"""The text of each token of a reply, however the server spells its tokens, and which choice a text spells."""

import re
from codecs import getincrementaldecoder
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from engines.served.replies.chat_reply import Token

DECORATION = " \t\r\n*_`\"'“”‘’«»「」()[]{}<>$"
"""Signs around a choice without a meaning, unless a choice contains them (`A>>B`)."""
WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20, 0xA0: 0x20, 0x3002: ord(".")}
"""Full-width characters and the plain ones that they are, one for one."""
_SPACE_MARK, _BYTE_MARKS = "▁", "ĠĊ"
_SHOWN = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
_HIDDEN = [code for code in range(0x100) if code not in _SHOWN]
_BYTE_OF = {chr(code): code for code in _SHOWN} | {chr(0x100 + place): code for place, code in enumerate(_HIDDEN)}
"""The byte that each character stands for in the vocabulary of a byte-level BPE (GPT-2's `bytes_to_unicode`)."""


@dataclass(frozen=True)
class Spelled:
    """A token of a reply as text."""

    start: int
    """Its first character's place in the reply."""
    text: str
    logprob: float
    listed: tuple[tuple[str, float], ...]
    """The texts of the other tokens that the server lists for this position, and their natural log-probabilities."""
    is_listed: bool
    """True if the server lists any token at this position."""

    @property
    def end(self) -> int:
        """Return the place after its last character."""
        return self.start + len(self.text)


def spelled(tokens: Sequence[Token], content: str | None) -> list[Spelled]:
    """Return the tokens of a reply whose whole text is `content`, if the server gives one.

    A token's `bytes` are used if they are given. Otherwise `Ġ4` and `▁4` are ` 4`, unless the reply itself has such
    signs. A character that several tokens share is the last one's.
    """
    spell = _spelling(tokens, content or "")
    decoder = getincrementaldecoder("utf-8")("replace")
    pieces, start = [], 0
    for token in tokens:
        text = decoder.decode(_bytes_of(token.token, token.bytes, spell))
        others = [top for top in token.top_logprobs or () if top.token != token.token]
        listed = tuple((_bytes_of(top.token, top.bytes, spell).decode(errors="replace"), top.logprob) for top in others)
        pieces.append(Spelled(start, text, token.logprob, listed, bool(token.top_logprobs)))
        start += len(text)
    return pieces


def _spelling(tokens: Sequence[Token], content: str) -> str:
    """Return the marks of the vocabulary's own spelling, if the tokens have it."""
    every = "".join(_all_texts(tokens))
    for marks in (_BYTE_MARKS, _SPACE_MARK):
        if any(mark in every and mark not in content for mark in marks):
            return marks
    return ""


def _all_texts(tokens: Sequence[Token]) -> Iterator[str]:
    for token in tokens:
        yield token.token
        yield from (top.token for top in token.top_logprobs or ())


def _bytes_of(text: str, given: Sequence[int] | None, marks: str) -> bytes:
    if given:
        return bytes(code for code in given if 0 <= code < 0x100)
    if marks == _BYTE_MARKS and all(character in _BYTE_OF for character in text):
        return bytes(_BYTE_OF[character] for character in text)
    if marks == _SPACE_MARK:
        if byte := re.fullmatch("<0x([0-9A-Fa-f]{2})>", text):
            return bytes.fromhex(byte[1])
        text = text.replace(_SPACE_MARK, " ")
    return text.encode(errors="replace")


@dataclass(frozen=True)
class Spelling:
    """Tells choices apart: in upper or lower case if possible, and with any signs around them."""

    by_key: Mapping[str, str]
    ignored: str
    """The characters around a choice that are left out."""
    any_case: bool

    @staticmethod
    def of(choices: Sequence[str]) -> "Spelling":
        """Return the spelling of `choices`."""
        ignored = "".join(s for s in DECORATION if s.isspace() or not any(s in choice for choice in choices))
        if any(choice.strip().isalpha() for choice in choices):
            ignored += ".,;:!"  # after a number these may go on: 4.5
        any_case = len({choice.lower() for choice in choices}) == len(choices)
        keys = {" ".join(choice.lower().split() if any_case else choice.split()): choice for choice in choices}
        return Spelling(keys, ignored, any_case)

    def choice(self, text: str) -> str:
        """Return the choice that `text` spells, or an empty text."""
        return self.by_key.get(self._plain(text).rstrip(self.ignored), "")

    def goes_on(self, text: str) -> bool:
        """Return whether `text` begins a choice that is longer."""
        begun = self._plain(text)
        return any(len(key) > len(begun) and key.startswith(begun) for key in self.by_key)

    def _plain(self, text: str) -> str:
        known = text.translate(WIDE).lstrip(self.ignored)
        return re.sub(r"\s+", " ", known.lower() if self.any_case else known)
