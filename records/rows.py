"""The row types. Each row is readable alone: it carries the prompt, the texts, the models, the seed and the judge."""

from collections.abc import Iterable
from typing import Any, Literal, Protocol

import msgspec

from records.keys import content_key

Message = dict[str, str]
"""One turn of a chat: `{"role": "user", "content": "..."}`."""

Winner = Literal["a", "b", "tie"]


class Chat(list[Message]):
    """A conversation to be learnt, with what the loss must know of it."""

    def __init__(self, messages: Iterable[Message], weight: float = 1.0, unlearnt: Iterable[int] = ()) -> None:
        super().__init__(messages)
        self.weight = weight
        """The weight of the conversation in the loss, above 0."""
        self.unlearnt = frozenset(unlearnt)
        """The assistant's turns that are not learnt, counted from the end: 1 is the last."""

    def record(self) -> dict[str, Any]:
        """Return the conversation as a row of a file, from which the same is read again."""
        n_left = sum(message["role"] == "assistant" for message in self)
        turns: list[dict[str, Any]] = []
        for message in self:
            is_unlearnt = message["role"] == "assistant" and n_left in self.unlearnt
            n_left -= message["role"] == "assistant"
            turns.append(message | {"weight": 0} if is_unlearnt else message)
        return {"messages": turns} | ({} if self.weight == 1 else {"weight": self.weight})


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A row of a JSONL file."""


class Identified(Protocol):
    """A row with an id, which a store can keep."""

    @property
    def id(self) -> str:
        """The key that the row's content fixes."""


class Constraint(Row, frozen=True, kw_only=True):
    """Something that the prompt asks of an answer's form, which a program can check."""

    kind: str
    """The name of the checker, as in IFEval: `length_constraints:number_words`."""
    kwargs: dict[str, Any] = {}  # msgspec copies an empty list or dictionary for each row
    """The settings of the checker: `{"relation": "at least", "num_words": 300}`."""


class Prompt(Row, frozen=True, kw_only=True):
    """Something to answer."""

    id: str
    prompt: str | list[Message]
    system: str | None = None
    source: str | None = None
    reference: str | None = None
    constraints: list[Constraint] | None = None
    """What the answer's form must be. None if nobody said, [] if nothing can be checked."""
    constraints_error: str | None = None
    """Why the constraints cannot be read. Other sets have something else in a field of that name."""


class Response(Row, frozen=True, kw_only=True):
    """One answer to a prompt."""

    id: str
    prompt_id: str
    prompt: str | list[Message]
    response: str
    model: str
    seed: int | None = None
    finish_reason: str | None = None
    """`stop` (the model ended it), `length` (cut off at the token limit), a server's own word for another end, or None
    if nobody recorded it. `records.finish.cut_off` reads it."""
    n_tokens: int | None = None
    end: str | None = None
    """The token with which the model ended it, for example `<end_of_turn>`. "" means no token, None
    that nobody recorded it."""
    reference: str | None = None
    """A right answer, for rubrics that show the judge one."""
    constraints: list[Constraint] | None = None
    """Those of the prompt."""
    constraints_error: str | None = None
    """As in `Prompt`."""


class Usage(Row, frozen=True, kw_only=True):
    """The cost of a verdict."""

    n_calls: int = 0
    """Every attempt, failed and retried ones too."""
    n_failed: int = 0
    n_prompt_tokens: int = 0
    n_cached_tokens: int = 0
    """Of those, the tokens that the server had read before and kept, which some sell for less."""
    n_tokens: int = 0
    """Tokens that were written."""
    seconds: float = 0.0

    def __add__(self, other: "Usage") -> "Usage":
        """Return the cost of both."""
        return Usage(
            n_calls=self.n_calls + other.n_calls,
            n_failed=self.n_failed + other.n_failed,
            n_prompt_tokens=self.n_prompt_tokens + other.n_prompt_tokens,
            n_cached_tokens=self.n_cached_tokens + other.n_cached_tokens,
            n_tokens=self.n_tokens + other.n_tokens,
            seconds=self.seconds + other.seconds,
        )

    def __sub__(self, other: "Usage") -> "Usage":
        """Return the cost of this without `other`, which is a part of it."""
        return Usage(
            n_calls=self.n_calls - other.n_calls,
            n_failed=self.n_failed - other.n_failed,
            n_prompt_tokens=self.n_prompt_tokens - other.n_prompt_tokens,
            n_cached_tokens=self.n_cached_tokens - other.n_cached_tokens,
            n_tokens=self.n_tokens - other.n_tokens,
            seconds=self.seconds - other.seconds,
        )


class Judgment(Row, frozen=True, kw_only=True):
    """A judge's verdict on one answer, or the reason why there is none."""

    id: str
    response_id: str
    prompt_id: str
    prompt: str | list[Message]
    response: str
    model: str
    """The model that wrote the response."""
    score: float | None
    scores: list[float | None]
    """One per sample. None if the reply had no verdict."""
    replies: list[str]
    """The judge's raw replies. Empty if no call succeeded."""
    error: str | None
    spread: float | None
    """Standard deviation of the scores (text, panel) or of the distribution over them (log-probabilities)."""
    rubric: str
    judge: str
    """The judge's fingerprint."""
    usage: Usage
    read: str = ""
    """The way to read the replies: text, logprobs, structured or panel, or checks, which made the score alone."""
    choices_from: str | None = None
    """Where log-probabilities come from. vocabulary: of all tokens, after words that begin the reply. reply: of the
    likeliest tokens that a server lists beside those of its reply. None: another reading, or an earlier version."""
    aggregate: str = ""
    """The rule that made one score of the samples, or of the scores of a panel's judges."""
    finish_reasons: list[str | None] = []
    """One per reply. A reply that was cut off (`records.finish.cut_off`) has no verdict."""
    n_samples: int | None = None
    """The number of samples with a verdict, of which the score is made. None in rows of earlier versions."""
    missing: dict[str, str] = {}
    """The reason of each other sample without a verdict, by its number from 0 (log-probabilities: of its criterion)."""
    reply_samples: list[int] = []
    """For each reply the number of its sample."""
    mass: float | None = None
    """The probability that the judge gave to the choices taken together (log-probabilities)."""
    criteria: dict[str, float | None] | None = None
    """The score of each criterion, for rubrics that have several."""
    agreement: float | None = None
    """The share of pairs of judges who say the same (panel)."""
    members: list[str] | None = None
    """The fingerprints of the judges of a panel, in the order of `scores`."""
    evidence: dict[str, Any] | None = None
    """The evidence on the response's claims."""
    response_finish_reason: str | None = None
    """The `finish_reason` of the response's own row."""


class Comparison(Row, frozen=True, kw_only=True):
    """A judge's verdict between two answers, asked in both orders."""

    id: str
    prompt_id: str
    prompt: str | list[Message]
    response_a: str
    response_b: str
    model_a: str
    model_b: str
    winner: Winner | None
    first_order: Winner | None
    """The verdict with answer a shown first."""
    second_order: Winner | None
    """The verdict with answer b shown first, already turned back to a and b."""
    flipped: bool | None
    """True if the two orders name different winners. The pair then counts as a tie."""
    preference_b: float | None
    """The judge's preference for b, 0 to 1, averaged over both orders."""
    replies: list[str]
    error: str | None
    rubric: str
    judge: str
    usage: Usage
    read: str = ""
    choices_from: str | None = None
    aggregate: str = ""
    finish_reasons: list[str | None] = []
    mass: float | None = None
    """The probability that the judge gave to the choices, the smaller of the two orders."""
    votes: list[float | None] | None = None
    """The preference for b of each judge of a panel, or None if it has no verdict."""
    agreement: float | None = None
    """The share of pairs of judges who name the same winner (panel)."""
    members: list[str] | None = None
    """The fingerprints of the judges of a panel, in the order of `votes`."""
    n_samples: int | None = None
    """The number of samples of the verdict, both orders together. None in rows of earlier versions."""
    missing: dict[str, str] = {}
    """Why each other sample has no verdict, by its order and its number from 0, as in `ba-0`."""
    reply_orders: list[str] = []
    """For each reply the order in which it was asked, `ab` or `ba`."""
    reply_samples: list[int] = []
    """For each reply the number of its sample in that order."""
    orders: str = "both"
    """`both`, or the only order that was asked: `ab` shows answer a first, `ba` answer b."""
    reference: str | None = None
    judged: str | None = None
    """The answer of the two judgments, if judgments are compared."""


class Pair(Row, frozen=True, kw_only=True):
    """A preference pair in TRL's conversational format, with its origin."""

    prompt: list[Message]
    chosen: list[Message]
    rejected: list[Message]
    prompt_id: str
    chosen_score: float | None = None
    rejected_score: float | None = None
    margin: float | None = None
    confidence: float | None = None
    weight: float = 1.0
    judge: str | None = None
    evidence: list[dict[str, Any]] | None = None
    chosen_finish_reason: str | None = None
    """The `finish_reason` of the chosen answer, or None if nobody recorded it."""
    rejected_finish_reason: str | None = None


class Vote(Row, frozen=True, kw_only=True):
    """A person's verdict on a pair. Votes are appended and never edited: the latest of a voter on a pair counts."""

    at: str
    """ISO 8601, UTC."""
    voter: str
    prompt_id: str
    a_id: str
    b_id: str
    winner: Winner | None
    """None takes the voter's earlier vote on the two answers back."""
    blind: bool
    note: str = ""


def answer_key(answer: "Response | Judgment") -> str:
    """Return the key that joins rows on one answer: its id and its texts, because ids in users' files are not unique.

    A response and the judgments on it have the same key.
    """
    own_id = answer.id if isinstance(answer, Response) else answer.response_id
    return content_key(own_id, messages_of(answer.prompt), answer.response)


def text_id(text: str) -> str:
    """Return the id of an answer that has none, in a vote: the same text has the same id, in any file."""
    return f"text-{content_key(text)}"


def response_key(response: Response) -> str:
    """Return a key that two responses share only if one repeats the other: id, texts and model."""
    return content_key(response.id, response.prompt, response.response, response.reference, response.model)


def prompt_key(row: "Response | Judgment") -> str:
    """Return the key of the answers to one prompt. It has the text, because joined files may number alike."""
    return content_key(row.prompt_id, messages_of(row.prompt))


def messages_of(prompt: str | list[Message], system: str | None = None) -> list[Message]:
    """Return `prompt` as a chat, with `system` in front if it is given and the chat has none."""
    chat = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else list(prompt)
    if system and not any(message["role"] == "system" for message in chat):
        return [{"role": "system", "content": system}, *chat]
    return chat


def pair_of(
    prompt: str | list[Message],
    prompt_id: str,
    chosen: str,
    rejected: str,
    scores: tuple[float | None, float | None] = (None, None),
    **origin: Any,
) -> Pair:
    """Return the pair of two texts with their `scores`. The margin is the difference if both have one."""
    high, low = scores
    return Pair(
        prompt=messages_of(prompt),
        chosen=[{"role": "assistant", "content": chosen}],
        rejected=[{"role": "assistant", "content": rejected}],
        prompt_id=prompt_id,
        chosen_score=high,
        rejected_score=low,
        margin=None if high is None or low is None else high - low,
        **origin,
    )


def text_of(prompt: str | list[Message]) -> str:
    """Return `prompt` as plain text to read: a single user turn bare, a longer chat with its roles."""
    if isinstance(prompt, str):
        return prompt
    if len(prompt) == 1:
        return prompt[0]["content"]
    return "\n\n".join(f"{message['role']}: {message['content']}" for message in prompt)


def request_text(prompt: str | list[Message]) -> str:
    """Return the request of a prompt, without the system turn."""
    return text_of(prompt if isinstance(prompt, str) else [turn for turn in prompt if turn["role"] != "system"])
