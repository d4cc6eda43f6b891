from math import exp
from typing import Any

import pytest

from console.errors import InputError
from judges.tools.options import EvidenceOptions, check_options
from judges.tools.rows import CheckedClaim, Evidence, Verdict
from judges.tools.scores import evidence_filter, evidence_summary, f1_at_k, factscore, highest_score, verified_score
from records import Usage


def evidence(supported: int = 0, refuted: int = 0, not_enough: int = 0, unchecked: int = 0, **fields: Any) -> Evidence:
    counts: list[tuple[int, Verdict | None]] = [
        (supported, "supported"), (refuted, "refuted"), (not_enough, "not enough"), (unchecked, None)
    ]  # fmt: skip
    claims = [CheckedClaim(claim=f"{v} {n}", verdict=v, reason="busy") for count, v in counts for n in range(count)]
    given: dict[str, Any] = {"tool": "search", **fields}
    return Evidence(
        id="e", response_id="r", prompt="Q", response="text", claims=claims, checker="c", usage=Usage(),
        n_supported=supported, n_refuted=refuted, n_not_enough=not_enough, n_unchecked=unchecked, **given,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ((12, 3, 5), 12 / 20),
        ((10, 0, 0), 1.0),
        ((5, 0, 0), exp(-1)),  # exp(1 - 10/5)
        ((3, 1, 1), 0.6 * exp(-1)),
        ((0, 4, 0), 0.0),
        ((0, 0, 0), None),
    ],
)
def test_factscore_is_the_share_of_supported_claims_with_a_length_penalty(
    counts: tuple[int, int, int], expected: float | None
) -> None:
    assert factscore(*counts) == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("counts", "k", "expected"),
    [
        ((8, 2, 0), 10, 0.8),  # precision 0.8, recall 0.8
        ((8, 1, 1), 4, 2 * 0.8 / 1.8),  # recall is at most 1
        ((5, 0, 0), 10, 2 * 0.5 / 1.5),
        ((0, 3, 1), 10, 0.0),
        ((0, 0, 0), 10, None),
    ],
)
def test_f1_joins_precision_and_recall(counts: tuple[int, int, int], k: int, expected: float | None) -> None:
    assert f1_at_k(*counts, k) == (None if expected is None else pytest.approx(expected))


def test_the_cap_follows_the_decided_claims_alone() -> None:
    assert highest_score(3, 1, 0, 5) == 3.75
    assert highest_score(3, 1, 1, 5) == 4.0
    assert highest_score(0, 0, 0, 5) == 5
    assert highest_score(0, 2, 1, 5) == 1


def test_a_score_is_capped_and_never_raised() -> None:
    assert verified_score(evidence(3, 1, 6), 4.5, 0, 5, "cap") == (3.75, None)
    assert verified_score(evidence(3, 1, 6), 2.0, 0, 5, "cap") == (2.0, None)
    assert verified_score(evidence(0, 0, 6), 4.5, 0, 5, "cap") == (4.5, None)
    for rule in ("cap", "factscore", "f1"):
        assert verified_score(evidence(tool="none"), 4.5, 0, 5, rule) == (4.5, None)  # type: ignore[arg-type]


def test_a_metric_takes_the_place_of_the_score_on_its_scale() -> None:
    assert verified_score(evidence(12, 3, 5), None, 1, 5, "factscore") == (pytest.approx(1 + 4 * 0.6), None)
    assert verified_score(evidence(8, 2), 1.0, 0, 10, "f1") == (pytest.approx(8.0), None)
    assert verified_score(evidence(8, 2), 1.0, 0, 10, "f1", f1_k=16)[0] == pytest.approx(10 * 2 * 0.8 * 0.5 / 1.3)


@pytest.mark.parametrize(
    ("row", "score", "rule", "reason"),
    [
        (evidence(3, error="call failed"), 4.0, "cap", "the claims could not be checked: call failed"),
        (evidence(3), None, "cap", "the judge gave no score to cap"),
        (evidence(unchecked=2), 4.0, "cap", "none of the claims could be checked: busy"),
        (evidence(reason="nothing to look up"), 4.0, "factscore", "no claims: nothing to look up"),
        (evidence(tool="none"), None, "f1", "the judge gave no score"),
    ],
)
def test_what_could_not_be_checked_is_no_score_with_a_reason(
    row: Evidence, score: float | None, rule: Any, reason: str
) -> None:
    assert verified_score(row, score, 0, 5, rule) == (None, reason)


def test_a_pair_whose_chosen_answer_is_refuted_is_left_out() -> None:
    good, bad = evidence(3, 0), evidence(1, 2)
    assert evidence_filter(good, bad, "no-refuted") is None
    assert evidence_filter(bad, good, "no-refuted") == (
        "2 of the chosen answer's claims are refuted, such as: refuted 0"
    )


def test_more_supported_compares_shares_of_decided_claims() -> None:
    assert evidence_filter(evidence(3), evidence(3, 1), "more-supported") is None
    reason = evidence_filter(evidence(3), evidence(5), "more-supported")
    assert reason == "the chosen answer's claims are no better supported: 1.00 against 1.00"
    assert evidence_filter(evidence(0, 0, 4), evidence(5), "more-supported") is None, "silence is no evidence"


def test_a_pair_with_a_failed_check_is_left_out() -> None:
    failed = evidence(error="busy")
    for pair, side in (((failed, evidence(1)), "chosen"), ((evidence(1), failed), "rejected")):
        assert evidence_filter(*pair, "no-refuted") == f"the {side} answer's claims could not be checked: busy"


def test_the_summary_counts_everything() -> None:
    rows = [
        evidence(2, 1, claims_from="sentences"),
        evidence(1, 0, 3, 1, claims_from="model"),
        evidence(tool="none"),
        evidence(tool=None, error="busy"),
    ]
    assert evidence_summary(rows) == {
        "answers": 4, "search": 2, "arithmetic": 0, "none": 1, "failed": 1, "claims": 8, "from sentences": 3,
        "supported": 3, "refuted": 1, "not enough": 3, "unchecked": 1,
    }  # fmt: skip


def test_more_claims_for_full_recall_than_are_checked_are_refused() -> None:
    with pytest.raises(InputError, match="--f1-k 30 is more than --max-claims 20: no answer could have full recall"):
        check_options(EvidenceOptions(search="http://search", verify="f1", f1_k=30))
