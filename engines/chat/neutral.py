"""Takes the meaning from special tokens that stand in ordinary text."""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import groupby

from console.errors import InputError
from engines.chat.families import COMMON_SPECIAL_TOKENS as COMMON_SPECIAL_TOKENS
from records.rows import Message

ROLES = ("system", "developer", "user", "assistant", "tool")
"""The roles of a conversation. A template writes the name of a role unchanged."""
SEPARATORS = " _-.·"
"""Separators to take a token apart with. The first that no token contains is used."""


def neutralise(text: str, special_tokens: Iterable[str]) -> str:
    """Return `text` with a space inside each special token, so that a tokenizer reads it as ordinary characters.

    If a token contains a space, another separator is used, so that taking a token apart never makes another one. One
    pass is enough, and a second one changes nothing. A token of one character cannot be taken apart.
    """
    pattern, separator = _pattern(tuple(special_tokens))
    return pattern.sub(lambda match: match[0] + separator, text)


def neutralised(messages: Sequence[Message], special_tokens: Iterable[str]) -> list[Message]:
    """Return `messages` with the special tokens in their texts taken apart. Raises InputError for an unknown role."""
    known = tuple(special_tokens)
    check_roles(messages)
    return [{**message, "content": neutralise(message["content"], known)} for message in messages]


def check_roles(messages: Iterable[Message]) -> None:
    """Raise InputError if a turn has a role that no template knows, because its name would be written unchanged."""
    for message in messages:
        if message["role"] not in ROLES:
            raise InputError(f"a turn has the role {message['role'][:40]!r}; known roles: {', '.join(ROLES)}")


@lru_cache(maxsize=64)
def _pattern(special_tokens: tuple[str, ...]) -> tuple[re.Pattern[str], str]:
    """Return a pattern for the first character of each token in a text, and the separator to put after it.

    A lookahead finds overlapping tokens too. A tree of their beginnings makes it quick for thousands of tokens.
    """
    least: list[str] = []  # without those that begin with another: to take that apart is enough
    for token in sorted({token for token in special_tokens if len(token) > 1}):
        if not least or not token.startswith(least[-1]):
            least.append(token)
    used = set("".join(least))
    separator = next(sign for sign in [*SEPARATORS, *map(chr, range(0xA1, 0x2000))] if sign not in used)
    # Only the first character is taken, so that the search goes on within the token.
    ways = [f"{re.escape(first)}(?={_tree(rests)})" for first, rests in _by_first(least)]
    return re.compile("|".join(ways) or r"(?!)"), separator  # (?!) fits nowhere, an empty pattern everywhere


def _tree(texts: list[str]) -> str:
    """Return a pattern for any of `texts`, which are sorted and none of which begins with another."""
    first, last = texts[0], texts[-1]  # they are sorted, so what these two share is shared by all
    n_same = next((n for n, pair in enumerate(zip(first, last, strict=False)) if len(set(pair)) > 1), len(first))
    same = first[:n_same]
    rests = [text[len(same) :] for text in texts if text != same]
    ways = [re.escape(first) + _tree(more) for first, more in _by_first(rests)]
    return re.escape(same) + (f"(?:{'|'.join(ways)})" if ways else "")


def _by_first(texts: list[str]) -> Iterator[tuple[str, list[str]]]:
    for first, group in groupby(texts, key=lambda text: text[0]):
        yield first, [text[1:] for text in group]
