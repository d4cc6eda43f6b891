"""Merges several rows on one labelled row into one verdict, or none if they contradict each other."""

from collections.abc import Sequence

from judges.labelled.labels import Grade, Verdict

CONTRADICTS = "the file contradicts itself on this row"


def one_verdict(verdicts: Sequence[tuple[Verdict, bool]]) -> tuple[Verdict | None, bool]:
    """Return the merged verdict of rows on one pair, and whether a row is repeated.

    Each verdict comes with a flag for exchanged answers. Rows without a verdict count only if no other row has one. Two
    rows with the two orders of the answers are one comparison, which is a tie if they disagree. No row gives None.
    """
    decided = [(verdict, exchanged) for verdict, exchanged in verdicts if verdict.winner is not None]
    if not decided:
        return (verdicts[0][0] if verdicts else None), False
    orders = [[verdict for verdict, exchanged in decided if exchanged is turned] for turned in (False, True)]
    if any(len({verdict.winner for verdict in order}) > 1 for order in orders):
        return Verdict(None, error=CONTRADICTS), False
    repeated = any(len(order) > 1 for order in orders)
    if not all(orders):
        return decided[0][0], repeated
    first, second = (order[0] for order in orders)
    if first.winner == second.winner and first.first_order is not None:  # each row has both orders already
        return first, repeated
    if first.first_order is not None:
        return Verdict(None, error=CONTRADICTS), False
    winner = first.winner if first.winner == second.winner else "tie"  # as this project's own comparisons do
    return Verdict(winner, None, None, first.winner, second.winner), repeated


def one_grade(grades: Sequence[Grade]) -> tuple[Grade | None, bool]:
    """Return the merged grade of rows on one answer, or None without rows, and whether it is repeated."""
    scored = [grade for grade in grades if grade.score is not None]
    if not scored:
        return (grades[0] if grades else None), False
    if len({grade.score for grade in scored}) > 1:
        return Grade(None, CONTRADICTS), False
    return scored[0], len(scored) > 1
