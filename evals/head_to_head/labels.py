"""The names of models as labels of a picture: in short lines, told apart, in letters that its font has."""

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache

from matplotlib.font_manager import FontProperties, findfont, get_font

from console.progress import say
from console.visible import is_hidden

PART = re.compile(r"[^/_. -]*[/_. -]*")
"""A part of a name with what divides it from the next one."""


def drawable(names: Sequence[str]) -> list[str]:
    """Return the names, or `model N` for one with letters that the picture's font lacks, which is told."""
    shown = ["".join(" " if is_hidden(letter) else letter for letter in name) for name in names]
    drawn = [name if _lacking(name) == "" else f"model {n}" for n, name in enumerate(shown, start=1)]
    for name, label in zip(shown, drawn, strict=True):
        if name != label:
            say(f"the picture's font lacks letters of {name}, which is {label} there")
    return drawn


def plain(text: str) -> str:
    """Return a text with question marks for letters that the picture's font lacks."""
    lacking = _lacking(text)
    return "".join("?" if letter in lacking else letter for letter in text)


def labelled(names: Sequence[str], n_letters: int, n_lines: int) -> list[str]:
    """Return a label for each name, of at most `n_lines` lines of `n_letters`. Names that are cut alike get numbers."""
    labels = ["\n".join(_cut(lines_of(name, n_letters), n_letters, n_lines)) for name in names]
    counts = Counter(labels)
    return [f"{n}: {label}" if counts[label] > 1 else label for n, label in enumerate(labels, start=1)]


def lines_of(text: str, n_letters: int) -> list[str]:
    """Return a text in lines of at most `n_letters`, broken where its parts end. A longer part is broken inside."""
    lines = [""]
    for part in PART.findall(text):
        while part:
            room = n_letters - len(lines[-1])
            if len(part.rstrip(" ")) <= room:
                lines[-1] += part
                break
            if lines[-1]:
                lines.append("")
                continue
            lines[-1], part = part[:n_letters], part[n_letters:]
            lines.append("")
    return [line.rstrip(" ") for line in lines if line.strip()]


def _cut(lines: list[str], n_letters: int, n_lines: int) -> list[str]:
    """Return at most `n_lines` of the lines: the first, and the last, which tell checkpoints apart."""
    if len(lines) <= n_lines:
        return lines
    return [f"{lines[0][: n_letters - 1]}…", *lines[1 - n_lines :]]


def _lacking(text: str) -> str:
    letters = _letters()
    return "".join(letter for letter in text if ord(letter) not in letters)


@cache
def _letters() -> frozenset[int]:
    return frozenset(get_font(findfont(FontProperties())).get_charmap())
