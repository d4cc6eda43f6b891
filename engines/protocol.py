"""What an engine is: it writes completions and reads the log-probabilities of given choices."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from console.errors import EngineError
from console.ranges import Count, NotNegative, ShareAbove0
from records.rows import Message


class NoLogprobsError(EngineError):
    """A model or server gives no log-probabilities; what to do about that depends on what they are wanted for."""


@dataclass(frozen=True)
class Sampling:
    """How text is drawn from the model's distribution."""

    max_new_tokens: Count = 256
    temperature: NotNegative = 0.7
    """0 takes the most likely token."""
    top_p: ShareAbove0 = 0.9
    stop: tuple[str, ...] = ()
    """A completion ends before the first of these strings; the string itself is cut off."""


@dataclass(frozen=True)
class Request:
    """One chat to go on with."""

    messages: list[Message]
    seed: int = 0
    """Fixes this row's draws, whatever else is asked in the same call."""
    prefill: str = ""
    """The words that the assistant's turn is made to begin with."""
    labels: tuple[str, ...] = ()
    """The words after one of which a reply names its choice, where the engine cannot make the turn begin so."""
    alone: bool = True
    """Whether a choice that is the whole reply counts too."""
    agrees: Callable[[str, str], bool] | None = None
    """Whether the asker, who reads the text of a reply too, takes it for the choice that the reply's tokens spell."""
    schema: dict[str, Any] | None = None
    """A JSON schema that the reply must follow; an engine that cannot force one raises EngineError."""


class Skipped(set[int]):
    """Requests that a call leaves out, not all of them because they were answered: others wait for a later call."""

    answered: bool = True
    """Whether any of them was answered."""


def any_answered(done: Collection[int]) -> bool:
    """Return whether there was an answer at an earlier start or call to one of the requests that are left out."""
    return bool(done) and (not isinstance(done, Skipped) or done.answered)


@dataclass(frozen=True)
class Completion:
    """The text that answers one request, or the reason why there is none."""

    index: int
    """The position of the request in the list that was given."""
    text: str
    finish_reason: str | None
    """`stop`, `length`, or a server's own word, which `records.finish.cut_off` reads, or None if there is an error."""
    n_prompt_tokens: int = 0
    n_tokens: int = 0
    error: str | None = None
    n_calls: int = 1
    """Every attempt, failed and retried ones too."""
    n_failed: int = 0
    seconds: float = field(default=0.0, compare=False)
    """Wall time of the call with its retries; in a batch, the row's share of the batch's time."""
    end: str | None = None
    """The token that ended the text, which is no part of it; "" where none did, None if that is not known."""


@dataclass(frozen=True)
class Choice:
    """How likely each of the given choices is as the next words, or the reason why that is not known."""

    index: int
    logprobs: tuple[float, ...]
    """Natural log-probabilities, one per choice, not renormalised: that the choice is said, to its last token, and no
    longer choice that begins with it (`1` and `10`); -inf where the server did not list a choice."""
    n_prompt_tokens: int = 0
    n_tokens: int = 0
    error: str | None = None
    n_calls: int = 1
    """Every attempt, failed and retried ones too."""
    n_failed: int = 0
    seconds: float = field(default=0.0, compare=False)
    """Wall time of the call with its retries; in a batch, the row's share of the batch's time."""


class Engine(Protocol):
    """Something that a model can be asked through.

    Both methods yield in the order in which results become ready, so that each can be stored at once. Requests whose
    index is in `done` are not answered again; they are still part of the list, because an in-process engine plans its
    batches from the whole list: a resumed call then computes the same batches, hence the same numbers, as an
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
        """Yield one Completion for each request that is not in `done`. Raises EngineError if none can be had."""
        ...

    def choose(
        self, requests: Sequence[Request], choices: Sequence[str], done: Collection[int] = ()
    ) -> Iterator[Choice]:
        """Yield the log-probabilities of `choices` for each request that is not in `done`.

        Raises NoLogprobsError if the model or server gives no log-probabilities.
        """
        ...


def advised(choices: Iterator[Choice], remedy: str) -> Iterator[Choice]:
    """Yield `choices`; where there are no log-probabilities the EngineError says what to do about it, `remedy`."""
    try:
        yield from choices
    except NoLogprobsError as error:
        raise EngineError(f"{error}; {remedy}") from None
