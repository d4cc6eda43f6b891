"""Takes apart text that a model may read as a tag of the prompt, although it is spelled differently."""

import re
from functools import lru_cache

from judges.rubrics.fences.letters import Folded, fold, several, table

REASONING = ("think", "thinking", "reasoning", "thought")
"""Tags around a model's reasoning. Readers of replies know them too."""
FUZZY_FROM = 5
"""The length from which a name is recognised with one letter missing or wrong, or two swapped."""
PASSES = 6
_GAP = r"(?:[^\w<>\[\]/|]|_){0,2}"
_JUNK = r"\s*+(?:[^\w\s<>\[\]/()]{1,4}\s*+)?+"
_CODE = r"(?:(?=[a-z]*\d)[a-z\d]{1,64}|[a-f]{4,64})"
"""The form of a tag's code."""
_TAG_LETTERS = re.compile("[\U000e0020-\U000e007e]")
_DOUBTFUL = re.compile(r"[<\[{&%\\=+]|(?m:^[^\w\n()<>]{0,6}/)")
"""Characters without which an ASCII text has nothing to take apart."""


@lru_cache(maxsize=256)  # a prompt has several answers, and a question several samples
def taken_apart(text: str, tags: tuple[str, ...]) -> str:
    """Return `text` with parentheses in the place of the brackets of whatever a model might read as one of `tags`.

    That is the tag in any case and spacing, with attributes or a code, in look-alike letters and brackets, with a
    letter missing, with invisible characters, entities or escapes in it, a closing tag in square brackets or alone in
    its line, one that lacks its bracket or the end of its name, and besides the tags of reasoning and of chat
    templates. Everything else stays as it is: HTML, XML, generics (`List<Answer>`), a < b.
    """
    if text.isascii() and not _DOUBTFUL.search(text):
        return text  # most texts, a hundred times faster
    patterns = _patterns(tags)
    for _ in range(PASSES):  # taking one apart can bring another together
        before = text
        text = _once(text, fold(text), patterns)
        # Those characters are invisible, so a reader may also see the text without them.
        if _TAG_LETTERS.search(text):
            text = _once(text, fold(text, tag_letters=False), patterns)
        if "\u202e" in text:  # what follows is shown from right to left
            text = _once(text[::-1], fold(text[::-1]), patterns)[::-1]
        if text == before:
            break
    return text


def _once(text: str, seen: Folded, patterns: tuple[re.Pattern[str], ...]) -> str:
    matches = (match for pattern in patterns for match in pattern.finditer(seen.text) if _is_tag(match, text, seen))
    pieces: list[str] = []
    done = end_of_last = 0
    # The longest first of those that begin at one place: the others are within it.
    for match in sorted(matches, key=lambda match: (match.start(), -match.end())):
        (start, end), (left, right) = match.span(), match.span("inside")
        if start < end_of_last:
            continue
        if right == left:
            continue
        opened, closed = seen.starts[start], seen.ends[end - 1]
        inside = text[seen.starts[left] : seen.ends[right - 1]]
        if left > start and seen.starts[left] < seen.ends[start]:  # both are of one entity
            inside = match["inside"]
        pieces += text[done:opened], "(", inside, ")"
        done, end_of_last = closed, end
    return "".join([*pieces, text[done:]])


def _is_tag(match: re.Match[str], text: str, seen: Folded) -> bool:
    groups: dict[str, str | None] = match.groupdict()
    if (odd := groups.get("odd")) is not None:
        # At least half of a misspelled tag is still plain letters. A word of another script is no tag.
        return sum(letter.isascii() and letter.isalnum() for letter in odd) * 2 >= sum(map(str.isalpha, odd))
    if groups.get("begun") is None:
        return True
    opened, (left, right) = seen.starts[match.start()], match.span("begun")
    name = text[seen.starts[left] : seen.ends[right - 1]]
    return not (text[opened - 1 : opened].isalnum() and name.istitle())  # the parameter of a type: List<Answer>


@lru_cache(maxsize=64)
def _patterns(tags: tuple[str, ...]) -> tuple[re.Pattern[str], ...]:
    """Return the patterns, for folded text, of near misses of `tags`. The group `inside` is what stays of one."""
    names = {tag.strip("</>").lower() for tag in tags}
    whole = sorted({*names, *REASONING}, key=len, reverse=True)
    # A closing tag need not be named in full: </answer> may well close <answer_a>.
    parts = sorted({*whole, *(p for n in names for p in n.split("_") if len(p) > 1)}, key=len, reverse=True)
    ends = _any_of([_spelled(name) for name in parts])
    odd = _any_of([_spelled(name, odd=True) for name in parts])
    wrong = _any_of([_GAP.join(letters) for name in parts for letters in _misspelled(name)])
    begins = _any_of([_spelled(name) for name in whole])
    after = rf"(?!\w|-\w)|(?:[\s_.:#-]{{0,2}}{_CODE}|[\s_.:#-]{{1,2}}[a-z])(?![\w-])"
    space = r"(?:\w{1,20}[\w.-]{0,20}:)?"
    tail = r"(?P<tail>[^<>\[\]]{0,120}(?=>))?"
    return tuple(
        re.compile(pattern)
        for pattern in (
            rf"<(?P<inside>{_JUNK}/[\s/]*+{space}(?:{ends})(?:{after}){tail})>?",
            rf"<(?P<inside>{_JUNK}/[\s/]*+{space}(?:{wrong})(?:{after}){tail})>?",
            rf"<(?P<inside>{_JUNK}/[\s/]*+(?P<odd>{odd})(?:{after}){tail})>?",
            rf"\[(?P<inside>{_JUNK}/[\s/]*+{space}(?:{ends})(?:{after})[^<>\[\]]{{0,60}})\]",
            rf"[<\[](?P<inside>{_JUNK}/?\s*+(?:end|close|closing|stop)(?:{_GAP}of)?(?:{_GAP}the)?{_GAP}(?:{ends})"
            rf"(?![\w-])[^\w<>\[\]]{{0,10}})[>\]]",
            rf"<(?P<inside>\s*+(?P<begun>{begins})(?:[\s/]*+|\s+[\w:.-]+\s*=[^<>\[\]]{{0,120}}|[-_.:#](?:{_CODE}|[a-z])[\s/]*+))>",
            r"<(?P<inside>\|[^\s|<>\[\]]{2,60}\||\|[a-z_]{3,40}|[a-z_]{3,40}\|)>",
            rf"(?m:^)[^\w\n()<>\[\]]{{0,6}}(?P<inside>/\s{{0,3}}(?:{ends}))[^\w\n()<>\[\]]{{0,6}}(?m:$)",
        )
    )


def _any_of(ways: list[str]) -> str:
    return "|".join(dict.fromkeys(ways))


def _misspelled(name: str) -> list[list[str]]:
    """Return a long name's misspellings: a letter missing or wrong, or two neighbours swapped."""
    if len(name) < FUZZY_FROM or not name.isalpha():
        return []
    letters, places = list(name), range(len(name))
    without = [letters[:n] + letters[n + 1 :] for n in places[1:]]
    another = [[*letters[:n], r"\w", *letters[n + 1 :]] for n in places]
    exchanged = [[*letters[:n], letters[n + 1], letters[n], *letters[n + 2 :]] for n in places[:-1]]
    return [*without, *another, *exchanged]


def _spelled(name: str, *, odd: bool = False) -> str:
    """Return a pattern for `name` in look-alike letters, with gaps. With `odd`, any letter of another script counts."""
    return _GAP.join(_letter(letter, odd) for letter in name if letter.isalnum())


@lru_cache(maxsize=256)
def _letter(letter: str, odd: bool) -> str:
    signs = re.escape(table()["signs"].get(letter, ""))
    alike = f"[{letter}{signs}{re.escape(several(letter))}]"
    letters = rf"(?:{alike}|[^\0-\x7f]){{1,2}}" if odd else f"{alike}{{1,2}}"
    two = {"w": "vv|uu", "m": "rn|nn", "d": "cl"}.get(letter)  # two letters that look like one
    return f"(?:{letters}|{two})" if two else letters
