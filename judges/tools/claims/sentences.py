"""Cuts text into sentences by rules on full stops and capitals, without any downloaded model."""

import re

ABBREVIATIONS = (
    "Mr", "Mrs", "Ms", "Dr", "Prof", "St", "Jr", "Sr", "Gen", "Col", "Lt", "Sgt", "Capt", "Rev", "Gov", "Sen", "Rep",
    "v", "vs", "etc", "e.g", "i.e", "cf", "al", "approx", "ca", "No", "Nos", "Vol", "Fig", "pp", "Inc", "Ltd", "Co",
    "Corp",
)  # fmt: skip
BLOCK = re.compile(r"\n\s*\n|\n(?=\s*(?:[-*•]|\d{1,3}[.)]|#{1,6})\s)")  # an empty line, or the start of a list item
BULLET = re.compile(r"^\s*(?:[-*•]|\d{1,3}[.)]|#{1,6})\s+")
END = re.compile(r"[.!?…]+[\"'”’)\]]*\s+(?=[\"'“‘(\[]*[A-Z0-9À-ÖØ-Þ])|(?<=[。！？])\s*")
# an abbreviation, initials as in J.R. Tolkien, or the number of a list item
NO_END = re.compile(rf"(?:\b(?:{'|'.join(map(re.escape, ABBREVIATIONS))})|\b[A-Z](?:\.[A-Z])*|^\d+)\.$")


def sentences(text: str) -> list[str]:
    """Return the sentences of `text` in order, each on one line, without the marks of lists and headings."""
    cut: list[str] = []
    for block in BLOCK.split(text):
        cut += _cut(" ".join(BULLET.sub("", block).split()))
    return cut


def _cut(line: str) -> list[str]:
    parts, start = [], 0
    for end in END.finditer(line):
        part = line[start : end.end()].strip()
        if part and not NO_END.search(part):  # otherwise `start` stays and the next end closes both pieces
            parts.append(part)
            start = end.end()
    return [part for part in [*parts, line[start:].strip()] if part]
