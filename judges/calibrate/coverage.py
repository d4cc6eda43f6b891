"""The share of rows with a verdict that an audit must reach."""

from console.errors import JudgeError
from judges.audit.correction import Wins
from judges.audit.result import Audit
from judges.calibrate.options import Config


def check_coverage(result: Audit, config: Config, test: Wins | None, n_labelled: int | None = None) -> None:
    """Raise JudgeError if too few of the labelled rows, or of the rows of --test, have a verdict.

    The report is written by then. `n_labelled` is the number of rows that stored verdicts should cover.
    """
    n_rows, least = result.n_pairs or result.n_answers, config.judge.min_coverage
    n_all, n_judged = n_labelled or n_rows, n_rows - sum(result.unscored.values())
    under, remedy = f"under --min-coverage {least:g}", "or accept it with a lower --min-coverage"
    if n_judged < least * n_all:
        no_row = "the file of verdicts has no row on it"
        reasons = [*result.unscored] if n_all == n_rows else [no_row, *result.unscored]
        commonest = max(reasons, key=lambda reason: result.unscored.get(reason, n_all - n_rows))
        raise JudgeError(
            f"only {n_judged} of {n_all} labelled rows have a verdict, {under}, and what is measured holds for these "
            f"alone; most often: {commonest}. Give the rest of the verdicts, or try another judge, {remedy}"
        )
    if test is not None and (n_known := sum(win == win for win in test.wins)) < least * len(test.wins):
        raise JudgeError(
            f"{test.name}: only {n_known} of {len(test.wins)} rows of --test have a verdict, {under}; give the rest, "
            f"{remedy}"
        )
