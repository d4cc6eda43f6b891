"""The tokens between a conversation and a choice: the reply's opening by the chat template, and its forced words.

A server's template is not at hand, and vLLM's own way to continue a message is none: templates strip the message
(Llama 3 loses the space after `Score:`) or write more into a whole turn than they open it with (Qwen 3 an empty
thought). So the words are appended in tokens. A token may merge the opening's end with the words, or the words with a
choice, which shows in the tokens of the whole text.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

from console.errors import EngineError
from engines.choice_tokens.paths import Path, encode_choices
from engines.protocol import Request


class OtherEnding(Exception):  # noqa: N818 (nothing is wrong with the program)
    """A conversation does not end as the others do in the chat template."""


@dataclass(frozen=True)
class Opened:
    """How a server's model opens a reply, from two conversations that share nothing but the template."""

    tokens: list[int]
    """Those of the first conversation, up to where the reply begins."""
    text: str
    """Their text, from which come the same tokens."""
    n_tail: int
    """So many tokens at the end are the same in the second one."""
    context: int
    """The tokens of prompt and reply that the server takes."""

    @staticmethod
    def of(first: list[int], second: list[int], text: str, context: int) -> "Opened":
        """Return the opening that both conversations end with."""
        return Opened(first, text, _n_same(reversed(first), reversed(second)), context)


@dataclass(frozen=True)
class Beginning:
    """The tokens after which the choices are read, and theirs."""

    tail: tuple[int, ...]
    """The last tokens of every conversation that is opened for a reply."""
    n_kept: int
    """So many of them stay as they are once the reply's words follow."""
    words: tuple[int, ...]
    """The tokens after those, up to the choice."""
    paths: list[Path]

    def after(self, conversation: Sequence[int]) -> list[int]:
        """Return the tokens up to the choice for the tokens of a conversation. Raises OtherEnding."""
        n = len(self.tail)
        if tuple(conversation[-n:]) != self.tail:
            raise OtherEnding("the conversation ends in another way than others in the model's chat template")
        return [*conversation[: len(conversation) - n + self.n_kept], *self.words]


def beginning_of(opened: Opened, choices: Sequence[str], tokens_after: Mapping[str, list[int]]) -> Beginning:
    """Return the beginning for `choices`. `tokens_after` has the tokens of text, words and ending, by the ending.

    The endings are nothing and each choice. Raises EngineError if the choices cannot be told apart by their tokens, or
    a token of theirs reaches into the conversation.
    """
    paths, [before] = encode_choices(lambda _, ending: [tokens_after[ending]], [Request([])], choices)
    n_same, n_before_tail = _n_same(opened.tokens, before), len(opened.tokens) - opened.n_tail
    if n_same < n_before_tail:
        what = "after the model's chat template the first words of a reply are one token with the conversation's end"
        raise EngineError(f"{what}; use --read text")
    tail = tuple(opened.tokens[n_before_tail:])
    return Beginning(tail, n_same - n_before_tail, tuple(before[n_same:]), paths)


def _n_same(one: Iterable[int], other: Iterable[int]) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
