"""Tells conversations that a chat template takes from those that it refuses, each of which is one row's error."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from console.errors import InputError
from engines.chat.template import encoded, rendered
from engines.protocol import Request

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Taken:
    """The requests whose conversations a template takes."""

    indexes: list[int]
    """Their positions among all requests."""
    requests: list[Request]
    texts: dict[int, str]
    """Their conversations in the template, by the identity of the request."""
    refused: dict[int, str]
    """Why the others are refused, by their positions."""

    @staticmethod
    def of(tokenizer: PreTrainedTokenizerBase, requests: Iterable[Request]) -> Taken:
        """Return the requests that `tokenizer` accepts, with the assistant's turn begun."""
        taken = Taken([], [], {}, {})
        for index, request in enumerate(requests):
            try:
                text = rendered(tokenizer, request.messages, opening=True)
            except InputError as error:
                taken.refused[index] = str(error)
                continue
            taken.indexes.append(index)
            taken.requests.append(request)
            taken.texts[id(request)] = text + request.prefill
        return taken

    def encoded(self, tokenizer: PreTrainedTokenizerBase, some: Sequence[Request], ending: str) -> list[list[int]]:
        """Return the tokens of `some` of the requests with the same ending after each."""
        return encoded(tokenizer, [self.texts[id(request)] + ending for request in some])
