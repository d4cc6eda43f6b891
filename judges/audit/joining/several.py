"""What several rows about one labelled row come to: one verdict, or none where they contradict each other."""

from collections.abc import Sequence

from judges.labelled.labels import Grade, Verdict

CONTRADICTS = "the file contradicts itself on this row"


def one_verdict(said: Sequence[tuple[Verdict, bool]]) -> tuple[Verdict | None, bool]:
    """Return what rows say about one pair, each after whether its answers were exchanged, and whether one is repeated.

    Rows without a verdict count only where no other has one. Two orders of the answers, each in a row of its own, are
    one comparison: where they disagree it is a tie. None where there is no row.
    """
    told = [one for one in said if one[0].winner is not None]
    if not told:
        return (said[0][0] if said else None), False
    orders = [[one for one, exchanged in told if exchanged is turned] for turned in (False, True)]
    if any(len({one.winner for one in order}) > 1 for order in orders):
        return Verdict(None, error=CONTRADICTS), False
    repeated = any(len(order) > 1 for order in orders)
    if not all(orders):
        return told[0][0], repeated
    one, other = (order[0] for order in orders)
    if one.winner == other.winner and one.first_order is not None:  # each row has both orders already
        return one, repeated
    if one.first_order is not None:
        return Verdict(None, error=CONTRADICTS), False
    return Verdict(one.winner if one.winner == other.winner else "tie", None, None, one.winner, other.winner), repeated


def one_grade(said: Sequence[Grade]) -> tuple[Grade | None, bool]:
    """Return what rows say about one answer, None where there is no row, and whether it is said several times."""
    told = [one for one in said if one.score is not None]
    if not told:
        return (said[0] if said else None), False
    if len({one.score for one in told}) > 1:
        return Grade(None, CONTRADICTS), False
    return told[0], len(told) > 1
