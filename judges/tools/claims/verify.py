"""Checks claims against passages: a stance per pair, and the most decided passage per claim."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from console.errors import EngineError
from engines.protocol import Engine, advised, choosing_key
from judges.judging.judge import NOT_ASKED
from judges.judging.question import load_question
from judges.parsing.verdict import usage_of
from judges.tools.claims.nli import open_nli
from judges.tools.claims.verifier import PassageReading, Verifier, _shortened, shown
from judges.tools.options import EvidenceOptions
from judges.tools.rows import CheckedClaim, Quote, Stance, Verdict
from judges.tools.search.corpus import Passage
from records.keys import content_key
from records.rows import Usage

HERE = Path(__file__).parent
DECIDED: tuple[Verdict, Verdict] = ("supported", "refuted")


class Stopped(Exception):  # noqa: N818 (nothing is wrong with the program)
    """The verifier could not go on, for the reason in the cause. `checked` has its readings so far."""

    def __init__(self, checked: "list[tuple[CheckedClaim, Usage]]") -> None:
        super().__init__()
        self.checked = checked


@dataclass(frozen=True)
class JudgeVerifier:
    """The judge's own model, read by the log-probabilities of its choice."""

    engine: Engine

    @property
    def digest(self) -> str:
        """Identifies the weights and the question."""
        return content_key(
            "judge", self.engine.digest, *choosing_key(self.engine), *load_question("stance", HERE).identity
        )

    def read(self, pairs: Sequence[tuple[str, Passage]]) -> Iterator[tuple[int, PassageReading]]:
        """Yield a reading for each pair, all asked in one call so that the engine can batch them."""
        question = load_question("stance", HERE)
        requests = [question.request(passage=shown(passage), claim=claim) for claim, passage in pairs]
        choices = self.engine.choose(requests, list(question.choices))
        for choice in advised(choices, "verifying claims needs them: give --verifier nli with --nli-model"):
            probabilities, mass, error = question.read(choice)
            yield choice.index, PassageReading(probabilities, mass, error, usage_of(choice))


def open_verifier(engine: Engine, options: EvidenceOptions) -> Verifier:
    """Return the verifier that `options` name. Raises InputError if its model is not available."""
    if options.verifier == "judge":
        return JudgeVerifier(engine)
    return open_nli(options.nli_model or "")


def verify(
    verifier: Verifier,
    claims: Sequence[str],
    found: Sequence[Sequence[Passage]],
    known: Sequence[CheckedClaim | None] = (),
) -> list[tuple[CheckedClaim, Usage]]:
    """Return each claim with its verdict and its cost. `found` has the passages of each claim.

    `known` has the claims of an earlier run, of which only failed calls are repeated.
    Raises Stopped if the verifier raises EngineError or the user interrupts.
    """
    before = known or [None] * len(claims)
    # one flat list, so that the engine gets all claims of all answers in a single call; readings has its positions
    pairs = [(claim, passage) for claim, passages in zip(claims, found, strict=True) for passage in passages]
    readings = dict(
        enumerate(_known(passage, claim) for claim, passages in zip(before, found, strict=True) for passage in passages)
    )
    todo = [position for position, reading in readings.items() if reading is None]
    stop: BaseException | None = None
    try:
        for index, new_reading in verifier.read([pairs[place] for place in todo]) if todo else ():
            readings[todo[index]] = new_reading
    except (EngineError, KeyboardInterrupt) as error:
        stop = error
        # the paid replies so far are kept; the next run asks only for these
        readings |= {place: PassageReading(None, error=NOT_ASKED) for place in todo if readings[place] is None}
    # back from the flat list: each claim takes as many readings as it has passages
    checked, start = [], 0
    for claim, passages in zip(claims, found, strict=True):
        of_claim = [reading for place in range(start, start + len(passages)) if (reading := readings[place])]
        start += len(passages)
        checked.append((decide(claim, passages, of_claim), sum((reading.usage for reading in of_claim), Usage())))
    if stop is not None:
        raise Stopped(checked) from stop
    return checked


def decide(claim: str, passages: Sequence[Passage], readings: Sequence[PassageReading]) -> CheckedClaim:
    """Return the verdict of the most decided passage: the one with the surest support or refutation.

    If none decides, or none was found, the verdict is `not enough`. It is None if no passage could be read or a call
    failed, because the stance of that passage is unknown.
    """
    stances = [_stance(passage, reading) for passage, reading in zip(passages, readings, strict=True)]
    if not passages:
        return CheckedClaim(claim=claim, verdict="not enough", reason="no passage was found")
    if failed := [stance for stance in stances if stance.failed]:
        return CheckedClaim(claim=claim, verdict=None, passages=stances, reason=failed[0].error)
    read = [index for index, stance in enumerate(stances) if stance.stance]
    if not read:
        return CheckedClaim(claim=claim, verdict=None, passages=stances, reason=stances[0].error)
    # a decided passage goes before any undecided one, even one that is nearer to a decision
    best = max(read, key=lambda index: (stances[index].stance in DECIDED, _decidedness(stances[index])))
    verdict = stances[best].stance
    return CheckedClaim(
        claim=claim,
        verdict=verdict,
        probabilities=stances[best].probabilities,
        quote=_quote(passages[best]) if verdict in DECIDED else None,
        passages=stances,
        reason=None if verdict in DECIDED else "no passage decides",
    )


def _known(passage: Passage, claim: CheckedClaim | None) -> PassageReading | None:
    """Return an earlier run's reading of a passage at no cost, or None if the call must be made."""
    stances = claim.passages if claim else []
    stance = next((earlier for earlier in stances if earlier.passage_id == passage.id and not earlier.failed), None)
    return PassageReading(stance.probabilities, stance.mass, stance.error) if stance else None


def _quote(passage: Passage) -> Quote:
    return Quote(passage_id=passage.id, title=passage.title, text=_shortened(passage.text), url=passage.url)


def _stance(passage: Passage, reading: PassageReading) -> Stance:
    probabilities = reading.probabilities
    stance = cast(Verdict, max(probabilities, key=probabilities.__getitem__)) if probabilities else None
    return Stance(
        passage_id=passage.id,
        title=passage.title,
        score=passage.score,
        stance=stance,
        probabilities=probabilities,
        mass=reading.mass,
        error=reading.error,
    )


def _decidedness(stance: Stance) -> float:
    return max((stance.probabilities or {}).get(verdict, 0.0) for verdict in DECIDED)
