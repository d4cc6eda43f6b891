"""The protocol of an engine, which writes completions and reads the log-probabilities of given choices."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from console.errors import EngineError
from console.ranges import Count, NotNegative, ShareAbove0
from records.rows import Message

ChoicesFrom = Literal["vocabulary", "reply"]
"""Where the log-probabilities of choices come from. vocabulary: all tokens, after words that the reply is made to begin
with. reply: the likeliest tokens that a server lists beside those of a reply."""


class NoLogprobsError(EngineError):
    """A model or server gives no log-probabilities. The remedy depends on the caller."""


@dataclass(frozen=True)
class Sampling:
    """The settings for sampling from the model's distribution."""

    max_new_tokens: Count = 256
    temperature: NotNegative = 0.7
    """0 takes the most likely token."""
    top_p: ShareAbove0 = 0.9
    stop: tuple[str, ...] = ()
    """A completion ends before the first of these strings."""


@dataclass(frozen=True)
class Question:
    """A question about a text, for an endpoint that answers with the probabilities of its options."""

    kind: Literal["predicate", "choice", "score"]
    """predicate: the choices are no and yes. score: the choices are ordered."""
    instructions: str
    number: int = 0
    """The place among the questions about one text, which follow each other and are asked in one call."""
    of: int = 1
    """The number of those questions."""


@dataclass(frozen=True)
class Request:
    """One chat to go on with."""

    messages: list[Message]
    seed: int = 0
    """Fixes this row's draws, whatever else is asked in the same call."""
    prefill: str = ""
    """The words that the assistant's turn is made to begin with."""
    labels: tuple[str, ...] = ()
    """Words of which one precedes the choice in a reply, for an engine that cannot prefill the turn."""
    alone: bool = True
    """True if a choice that is the whole reply counts too."""
    agrees: Callable[[str, str], bool] | None = None
    """Tells whether the caller, who also reads the reply's text, reads the same choice from it as from its tokens."""
    question: Question | None = None
    """What is asked about the text of the chat, for an engine that writes no text."""
    schema: dict[str, Any] | None = None
    """A JSON schema that the reply must follow. An engine that cannot force one raises EngineError."""


class Skipped(set[int]):
    """Requests that a call leaves out, not all of them because they were answered: others wait for a later call."""

    answered: bool = True
    """True if one of them was answered."""


def any_answered(done: Collection[int]) -> bool:
    """Return whether one of the requests that are left out was answered at an earlier start or call."""
    return bool(done) and (not isinstance(done, Skipped) or done.answered)


@dataclass(frozen=True)
class Completion:
    """The text that answers one request, or the reason why there is none."""

    index: int
    """The position of the request in the list that was given."""
    text: str
    finish_reason: str | None
    """`stop`, `length`, or a server's own word, which `records.finish.cut_off` reads. None if there is an error."""
    n_prompt_tokens: int = 0
    n_tokens: int = 0
    n_cached_tokens: int = 0
    """Of the prompt's tokens, those that the server had read before."""
    error: str | None = None
    n_calls: int = 1
    """Every attempt, failed and retried ones too."""
    n_failed: int = 0
    seconds: float = field(default=0.0, compare=False)
    """Wall time of the call with its retries, or in a batch the row's share of the batch's time."""
    end: str | None = None
    """The token that ended the text, which is no part of it. "" means no token, None unknown."""


@dataclass(frozen=True)
class Choice:
    """The log-probabilities of the given choices as the next words, or the reason for none."""

    index: int
    logprobs: tuple[float, ...]
    """Natural log-probabilities, one per choice, not renormalised. Each is of the whole choice without a longer choice
    that begins with it (`1` and `10`). -inf means that the server did not list the choice."""
    n_prompt_tokens: int = 0
    n_tokens: int = 0
    n_cached_tokens: int = 0
    """Of the prompt's tokens, those that the server had read before."""
    error: str | None = None
    n_calls: int = 1
    """Every attempt, failed and retried ones too."""
    n_failed: int = 0
    has_mass: bool = True
    """False if nobody knows the choices' probability among all words. Then the log-probabilities sum up to all."""
    text: str | None = None
    """The whole reply if it names none of the choices: an answer without a verdict, which asking again does not change.
    None beside an error means that there was no reply to read."""
    finish_reason: str | None = None
    """Why `text` ended."""
    seconds: float = field(default=0.0, compare=False)
    """Wall time of the call with its retries, or in a batch the row's share of the batch's time."""


class Engine(Protocol):
    """The interface to a model.

    Both methods yield in the order in which results become ready, so that each can be stored at once. Requests whose
    index is in `done` are not answered again. They are still part of the list, because an in-process engine plans its
    batches from the whole list. A resumed call then computes the same batches, hence the same numbers, as an
    uninterrupted one.
    """

    name: str
    """The model's name, as rows carry it."""

    @property
    def digest(self) -> str:
        """Identify the weights and what else of the engine changes a reply, as the judge's fingerprint carries it."""
        ...

    def generate(
        self, requests: Sequence[Request], sampling: Sampling, done: Collection[int] = ()
    ) -> Iterator[Completion]:
        """Yield one Completion for each request that is not in `done`. Raises EngineError if there can be none."""
        ...

    def choose(
        self, requests: Sequence[Request], choices: Sequence[str], done: Collection[int] = ()
    ) -> Iterator[Choice]:
        """Yield the log-probabilities of `choices` for each request that is not in `done`.

        Raises NoLogprobsError if the model or server gives no log-probabilities.
        """
        ...


def choices_from(engine: Engine) -> ChoicesFrom:
    """Return where an engine's log-probabilities of choices come from. A server is asked if it is not known yet."""
    return getattr(engine, "choosing", None) or "vocabulary"


def choosing_key(engine: Engine) -> tuple[str, ...]:
    """Return the part of a fingerprint that tells a served model's exact reading of choices from that of its replies.

    It is empty for the others, whose fingerprints are older.
    """
    return ("vocabulary",) if getattr(engine, "choosing", None) == "vocabulary" else ()


def advised(choices: Iterator[Choice], remedy: str) -> Iterator[Choice]:
    """Yield `choices`. If there are no log-probabilities, the EngineError says what to do: `remedy`."""
    try:
        yield from choices
    except NoLogprobsError as error:
        raise EngineError(f"{error}; {remedy}") from None
