"""How often a judge orders two answers as people did, on a labelled set that no training has seen."""

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
class Accuracy:
    """How often a judge is right on labelled pairs."""

    value: float | None
    n: int
    n_unscored: int


def judge_accuracy(judge: Judge, labelled: Path, folder: Path, limit: int | None = None, seed: int = 0) -> Accuracy:
    """Return how often the judge orders labelled pairs as people did; a tie counts half, no verdict is left out.

    The judge's rows go to `folder`, so that nothing is asked twice. A rubric that scores orders two answers by their
    scores; pairs that people call equal are left out. Raises InputError where the file is no labelled set or has no
    pair.
    """
    columns = columns_of(None, None, None, None)
    found = sampled(read_labelled(labelled, None, columns, BadRows()), limit, seed)
    said = ask_about(found, judge, folder)
    verdicts = [(pair.label, verdict.winner) for pair, verdict in zip(found.pairs, said.verdicts, strict=True)]
    if not found.pairs:
        verdicts = [(one.pair.label, one.verdict(said.grades).winner) for one in pairs_within(found.scores)]
    decided = [(label, winner) for label, winner in verdicts if label != "tie"]
    if not decided:
        raise InputError(f"{labelled}: no two answers to one prompt of which people preferred one")
    right = [0.5 if winner == "tie" else float(winner == label) for label, winner in decided if winner is not None]
    return Accuracy(fmean(right) if right else None, len(right), len(decided) - len(right))
