"""Several answers to one prompt with human ranks."""

from records import Message, Response, messages_of
from records.fields.rankings import ordered_places
from records.keys import content_key
from records.rows import Row
from records.shapes import UNKNOWN_MODEL


class RankedAnswers(Row, frozen=True, kw_only=True):
    """Several answers to one prompt with their ranks: 0 is the best, equal ranks are tied."""

    id: str = ""
    prompt: str | list[Message]
    responses: list[str]
    ranks: list[int]
    scores: list[float] | None = None
    """The human score of each answer, on any scale."""
    rationales: list[str] | None = None
    """The human rationale of each rank."""

    def __post_init__(self) -> None:
        """Raise ValueError if a list is not as long as the answers."""
        for name in ("ranks", "scores", "rationales"):
            values = getattr(self, name)
            if values is not None and len(values) != len(self.responses):
                raise ValueError(f"{len(self.responses)} responses, but {len(values)} {name}")


def ordered_pairs(ranked: RankedAnswers) -> list[tuple[int, int]]:
    """Return the places of every two answers that people ordered, the better one first.

    A repeated text is one answer, at its first place and with the mean of its ranks.
    """
    return ordered_places(ranked.responses, [-rank for rank in ranked.ranks])


def opening_of(ranked: RankedAnswers) -> str:
    """Return the first user turn: the same for all prompts of one OASST tree, and for a repeated prompt."""
    turns = [message["content"] for message in messages_of(ranked.prompt) if message["role"] == "user"]
    return " ".join((turns or [""])[0].split()).casefold()


def responses_to(ranked: RankedAnswers) -> list[Response]:
    """Return the answers as the rows that a judge reads, in their order."""
    return [
        Response(
            id=content_key("response", ranked.prompt, response),
            prompt_id=ranked.id,
            prompt=ranked.prompt,
            response=response,
            model=UNKNOWN_MODEL,
        )
        for response in ranked.responses
    ]
