"""Reads model_judgment/<judge>_single.jsonl, a score for each turn, and <judge>_pair.jsonl, two games for each turn."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar

from console.errors import InputError
from console.output import counted
from console.progress import say
from evals.comparing.naming import id_in, name_in
from records.fields.values import number_in, shown
from records.files import BadRows, Record
from records.shapes import located

Winner = Literal["model_1", "model_2", "tie"]
WINNERS: tuple[Winner, ...] = ("model_1", "model_2", "tie")
LOW, HIGH, NO_SCORE = 1, 10, -1
"""The scale, and FastChat's number for a reply without a score."""
NO_VERDICT = "the judge's reply has no verdict"
CONTRADICTS = "several rows with different verdicts"


@dataclass(frozen=True)
class Scored:
    """The score of one answer, or the reason why it has none."""

    question_id: str
    turn: int
    judge: str
    model: str
    score: float | None
    reason: str | None = None

    @property
    def key(self) -> tuple[str, ...]:
        """What a verdict is about."""
        return (self.model, self.question_id, str(self.turn))

    @property
    def is_known(self) -> bool:
        """Whether there is a verdict."""
        return self.score is not None

    def without_verdict(self, reason: str) -> "Scored":
        """Return the same answer with no score."""
        return replace(self, score=None, reason=reason)


@dataclass(frozen=True)
class Compared:
    """The winners of both games on one turn. The first model is shown first in the first game."""

    question_id: str
    turn: int
    judge: str
    model_1: str
    model_2: str
    first: Winner | None
    second: Winner | None
    reason: str | None = None

    @property
    def key(self) -> tuple[str, ...]:
        """What a verdict is about."""
        return (self.model_1, self.model_2, self.question_id, str(self.turn))

    @property
    def is_known(self) -> bool:
        """Whether both games have a winner or are tied."""
        return self.first is not None and self.second is not None

    @property
    def winner(self) -> Winner | None:
        """Return the winner of both games, a tie if they differ, or None without a verdict."""
        if not self.is_known:
            return None
        return self.first if self.first == self.second else "tie"

    def without_verdict(self, reason: str) -> "Compared":
        """Return the same pair with no winner."""
        return replace(self, first=None, second=None, reason=reason)


JudgedT = TypeVar("JudgedT", Scored, Compared)


def read_judgments(paths: Sequence[Path], bad: BadRows) -> list[Scored | Compared]:
    """Return the judgments of files, all scores or all pairs, each answer or pair once.

    A repeated row with a verdict replaces one without. If two verdicts differ, there is none. Raises InputError if the
    judgments are of several judges, or if scores and pairs are mixed.
    """
    judged: list[Scored | Compared] = []
    for path in paths:
        judged += [verdict for _, verdict in located(path, bad, lambda record: [_judged(record)])]
    names = ", ".join(map(str, paths))
    scores = [verdict for verdict in judged if isinstance(verdict, Scored)]
    pairs = [verdict for verdict in judged if isinstance(verdict, Compared)]
    if scores and pairs:
        raise InputError(f"{names}: {len(scores)} scores and {len(pairs)} pairs, which are two measurements")
    judges = Counter(verdict.judge for verdict in judged)
    if len(judges) > 1:
        several = ", ".join(f"{name} ({n})" for name, n in judges.most_common(3))
        raise InputError(f"{names}: judgments by {len(judges)} judges: {several}; give the files of one judge")
    return [*_each_once(scores, names), *_each_once(pairs, names)]


def _judged(record: Record) -> Scored | Compared:
    question_id, turn = id_in(record, "question_id"), record.get("turn", 1)
    if turn not in (1, 2) or isinstance(turn, bool):
        raise InputError(f"'turn' must be 1 or 2, found {shown(turn)}")
    judge = record.get("judge")
    name = judge[0] if isinstance(judge, list) and judge else judge  # the second is the name of a prompt
    named = name_in({"judge": name}, "judge")
    if named is None:
        raise InputError("no 'judge'")
    error = name_in(record, "error")
    if "g1_winner" in record or "g2_winner" in record:
        models = [name_in(record, field) for field in ("model_1", "model_2")]
        if models[0] is None or models[1] is None:
            raise InputError("no 'model_1' or 'model_2'")
        first, second = (_winner(record.get(field)) for field in ("g1_winner", "g2_winner"))
        reason = error or NO_VERDICT if first is None or second is None else None
        return Compared(question_id, int(turn), named, models[0], models[1], first, second, reason)
    model = name_in(record, "model")
    if model is None or "score" not in record:
        raise InputError("no judgment: expected 'model' and 'score', or 'g1_winner' and 'g2_winner'")
    score = _score(record["score"])
    return Scored(question_id, int(turn), named, model, score, error or NO_VERDICT if score is None else None)


def _score(value: object) -> float | None:
    number = number_in(value)
    if value is None or number == NO_SCORE:
        return None
    if number is None or not LOW <= number <= HIGH:
        raise InputError(
            f"'score' must be from {LOW} to {HIGH}, or {NO_SCORE} or null without one, found {shown(value)}"
        )
    return number


def _winner(value: object) -> Winner | None:
    if value is None or value == "error":
        return None
    for winner in WINNERS:
        if value == winner:
            return winner
    raise InputError(f"a winner must be {', '.join(WINNERS)} or error, found {shown(value)}")


def _each_once(judged: Iterable[JudgedT], names: str) -> list[JudgedT]:
    by_key: dict[tuple[str, ...], JudgedT] = {}
    contradicting: set[tuple[str, ...]] = set()
    n_rows = 0
    for verdict in judged:
        n_rows += 1
        before = by_key.setdefault(verdict.key, verdict)
        if not before.is_known:
            by_key[verdict.key] = verdict  # it was asked again
        elif verdict.is_known and verdict != before:
            contradicting.add(verdict.key)
    if len(by_key) < n_rows:
        more = f"; {len(contradicting)} of them contradict the first: these have no verdict" if contradicting else ""
        say(f"{names}: {counted(n_rows - len(by_key), 'repeats')} of another row, not counted{more}")
    return [
        verdict.without_verdict(CONTRADICTS) if key in contradicting else verdict for key, verdict in by_key.items()
    ]
