"""Gives the tags around judged texts a code that no text can contain: it is made of the texts themselves.

A tag's code depends on the prompt and on the texts up to the tag's end, so that the same question has the same tags
each time, and questions that begin with the same texts begin with the same tokens.

A code has 32 bits and no salt. Nothing about it is secret, and the author of a text can compute its code. A search for
a text that contains its own code would take only 2**32 texts. So a code that occurs in any of the prompt's texts, in
any spelling (`seen_in`), is skipped for the next one. A text then never contains its code, however long somebody
searches, because it would need 4 GB to contain all codes. A secret or more bits would add nothing, and would cost
reproducible rows or tokens.
"""

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache

import msgspec

from judges.rubrics.fences.letters import fold

VERSION = 2
"""Version of the form of filled prompts. It is part of a rubric's identity. 1 had tags without a code."""
PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")
TAG = re.compile(r"</?[A-Za-z_][\w-]*>")
PIECE = re.compile(r"\{\{(?P<slot>\w+)\}\}|<(?P<slash>/?)(?P<name>[A-Za-z_][\w-]*)>")
CODE_DIGITS = 8
"""Hexadecimal digits of a code."""
BETWEEN = bytes(code for code in range(128) if not chr(code).isalnum())
DIGITS = bytes.maketrans(b"oil", b"011")


@dataclass(frozen=True)
class Fence:
    """The two tags around some placeholders of a prompt."""

    opens: int
    """The places of the tags among the prompt's pieces."""
    closes: int
    name: str
    shows: tuple[str, ...]
    """The placeholders between them."""
    told: tuple[str, ...]
    """The placeholders before its end."""


@dataclass(frozen=True)
class Plan:
    """The pieces of a prompt: texts and, at every second place, placeholders and tags."""

    pieces: tuple[str, ...]
    slots: Mapping[int, str]
    fences: tuple[Fence, ...]


def filled(prompt: str, texts: Mapping[str, str], ours: Collection[str] = (), *, coded: bool = True) -> str:
    """Return `prompt` with `texts` in its placeholders, all in one pass, and codes in the tags around them.

    `ours` are the placeholders whose texts are the prompt's own, such as how to reply. They need no fence. A tag that
    fences nothing stays as it is. Without `coded` all tags do. Raises KeyError for a placeholder without a text.
    """
    plan = _plan(prompt)
    pieces = list(plan.pieces)
    for place, slot in plan.slots.items():
        pieces[place] = texts[slot]
    if coded:
        shown = "\n".join(map(seen_in, texts.values()))
        for fence in plan.fences:
            if not set(fence.shows) <= set(ours):
                told = [(slot, texts[slot]) for slot in fence.told if slot not in ours]
                code = _code((prompt, fence.opens, told), shown)
                pieces[fence.opens] = f"<{fence.name}-{code}>"
                pieces[fence.closes] = f"</{fence.name}-{code}>"
    return "".join(pieces)


def tags_in(text: str) -> tuple[str, ...]:
    """Return the distinct tags in the text of a prompt, in alphabetical order."""
    return tuple(sorted(set(TAG.findall(text))))


@lru_cache(maxsize=256)  # a prompt has several answers, and a question several samples
def seen_in(text: str) -> str:
    """Return a text in the spellings in which it may show a code.

    These are the text itself and the text as a reader takes it: without entities, escapes, look-alikes and invisible
    characters, without the signs between letters and digits, and with 0 and 1 for the letters that look like them.
    """
    read = fold(text).text.encode("ascii", errors="ignore").translate(DIGITS, BETWEEN)
    return f"{text.casefold()}\n{read.decode('ascii')}"


def _code(made_of: object, shown: str) -> str:
    data = msgspec.json.encode(made_of)
    number = 0
    while True:
        code = hashlib.blake2b(b"%d " % number + data, digest_size=CODE_DIGITS // 2).hexdigest()
        if code not in shown:
            return code
        number += 1


@lru_cache(maxsize=64)
def _plan(prompt: str) -> Plan:
    pieces: list[str] = []
    slots: dict[int, str] = {}
    opened: list[tuple[int, str, int]] = []  # each with its place, its name and the number of placeholders before it
    fences: list[Fence] = []
    done = 0
    for piece in PIECE.finditer(prompt):
        pieces += prompt[done : piece.start()], piece[0]
        done, place = piece.end(), len(pieces) - 1
        if piece["slot"]:
            slots[place] = piece["slot"]
        elif not piece["slash"]:
            opened.append((place, piece["name"], len(slots)))
        elif (n := next((n for n in reversed(range(len(opened))) if opened[n][1] == piece["name"]), None)) is not None:
            opens, name, n_slots = opened[n]
            del opened[n:]  # with tags opened after it that were never closed
            if len(slots) > n_slots:
                told = tuple(slots.values())
                fences.append(Fence(opens, place, name, told[n_slots:], told))
    return Plan((*pieces, prompt[done:]), slots, tuple(fences))
