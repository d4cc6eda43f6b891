"""The share of rows with a verdict that an audit must reach."""

from collections import Counter

from judges.audit.correction import Wins
from judges.audit.result import Audit
from judges.calibrate.options import Config
from judges.judging.coverage import require_coverage


def check_coverage(result: Audit, config: Config, test: Wins | None, n_labelled: int | None = None) -> None:
    """Raise JudgeError if too few of the labelled rows, or of the rows of --test, have a verdict.

    The report is written by then. `n_labelled` is the number of rows that stored verdicts should cover.
    """
    n_rows, least = result.n_pairs or result.n_answers, config.judge.min_coverage
    n_all = n_labelled or n_rows
    missing = {"the file of verdicts has no row on it": n_all - n_rows} if n_all > n_rows else {}
    require_coverage(
        n_rows - sum(result.unscored.values()),
        n_all,
        least,
        what="labelled rows have a verdict",
        reasons=Counter(missing | result.unscored),
        advice="What is measured holds for these alone: give the rest of the verdicts, or try another judge",
    )
    if test is not None:
        n_known = sum(win == win for win in test.wins)  # NaN, which equals nothing, stands for no verdict
        require_coverage(
            n_known,
            len(test.wins),
            least,
            what="rows of --test have a verdict",
            advice="Give the rest of the verdicts",
            source=test.name,
        )
