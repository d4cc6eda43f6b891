"""The judge's accuracy against people's preferences, on a labelled set that no training has seen."""

from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from console.errors import InputError
from judges.audit.asking import ask_about
from judges.judging.judge import Judge
from judges.labelled.columns import columns_of
from judges.labelled.labels import pairs_within, sampled
from judges.labelled.readers.formats import read_labelled
from records.files import BadRows


@dataclass(frozen=True)
class JudgeAccuracy:
    """A judge's accuracy on labelled pairs."""

    value: float | None
    n: int
    n_unscored: int


def judge_accuracy(
    judge: Judge, labelled: Path, folder: Path, limit: int | None = None, seed: int = 0
) -> JudgeAccuracy:
    """Return the judge's accuracy on labelled pairs: a tie counts half, and pairs without a verdict are left out.

    The judge's rows go to `folder`, so that no question is asked twice. A rubric that scores single answers orders two
    of them by their scores. Pairs that people call equal are left out. Raises InputError if the file is no labelled set
    or has no pair.
    """
    columns = columns_of(None, None, None, None)
    labels = sampled(read_labelled(labelled, None, columns, BadRows()), limit, seed)
    answers = ask_about(labels, judge, folder)
    verdicts = [(pair.label, verdict.winner) for pair, verdict in zip(labels.pairs, answers.verdicts, strict=True)]
    if not labels.pairs:
        verdicts = [(rated.pair.label, rated.verdict(answers.grades).winner) for rated in pairs_within(labels.scores)]
    decided = [(label, winner) for label, winner in verdicts if label != "tie"]
    if not decided:
        raise InputError(f"{labelled}: no two answers to one prompt of which people preferred one")
    right = [0.5 if winner == "tie" else float(winner == label) for label, winner in decided if winner is not None]
    return JudgeAccuracy(fmean(right) if right else None, len(right), len(decided) - len(right))
