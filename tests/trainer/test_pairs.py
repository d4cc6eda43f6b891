import pytest

from console.errors import InputError
from records import Judgment, Usage
from trainer.pairs import PairOptions, make_pairs


def judged(prompt: str, text: str, score: float | None) -> Judgment:
    return Judgment(
        id=text, response_id=text, prompt_id=prompt, prompt=f"{prompt}?", response=text, model="m", score=score,
        scores=[score], replies=["reply"], error=None if score is not None else "no verdict", spread=0.0,
        rubric="additive", judge="fp", usage=Usage(),
    )  # fmt: skip


def test_the_best_answer_is_chosen_against_the_worst() -> None:
    [pair], counts = make_pairs(
        [judged("p", text, score) for text, score in (("a", 2.5), ("b", 4.0), ("c", 1.0))], PairOptions()
    )
    assert pair.prompt == [{"role": "user", "content": "p?"}]
    assert pair.chosen == [{"role": "assistant", "content": "b"}] and pair.rejected == [
        {"role": "assistant", "content": "c"}
    ]
    assert (pair.chosen_score, pair.rejected_score, pair.margin, pair.judge) == (4.0, 1.0, 3.0, "fp")
    assert (counts.n_prompts, counts.n_pairs, counts.n_tied, counts.n_too_few) == (1, 1, 0, 0)


def test_an_unscored_answer_is_never_chosen_and_never_rejected() -> None:
    rows = [judged("p", "a", 3.0), judged("p", "b", None), judged("p", "c", 2.0)]
    [pair], counts = make_pairs(rows, PairOptions())
    assert "b" not in (pair.chosen[0]["content"], pair.rejected[0]["content"]) and counts.n_unscored == 1


def test_a_tie_gives_no_pair_and_the_next_prompt_still_does() -> None:
    rows = [judged("p", "a", 3.0), judged("p", "b", 3.0), judged("q", "c", 3.0), judged("q", "d", 2.0)]
    pairs, counts = make_pairs(rows, PairOptions())
    assert [pair.prompt_id for pair in pairs] == ["q"] and counts.n_tied == 1


def test_one_scored_answer_is_too_few() -> None:
    pairs, counts = make_pairs([judged("p", "a", 3.0), judged("p", "b", None)], PairOptions())
    assert pairs == [] and counts.n_too_few == 1


def test_a_margin_that_is_not_reached_counts_as_a_tie() -> None:
    rows = [judged("p", "a", 3.0), judged("p", "b", 2.5)]
    assert make_pairs(rows, PairOptions(min_margin=0.4))[1].n_pairs == 1
    assert make_pairs(rows, PairOptions(min_margin=0.5))[1].n_tied == 1


def test_the_same_text_with_two_scores_is_no_pair() -> None:
    rows = [judged("p", "a", 3.0), judged("p", "a", 2.0)]
    assert make_pairs(rows, PairOptions())[1].n_tied == 1


def test_a_negative_margin_is_refused() -> None:
    with pytest.raises(InputError, match="min_margin"):
        make_pairs([], PairOptions(min_margin=-1))


def checked(prompt: str, text: str, score: float, n_supported: int, n_refuted: int) -> Judgment:
    import msgspec

    claims = [{"claim": f"{text} {n}", "verdict": "refuted"} for n in range(n_refuted)]
    evidence = {
        "tool": "search", "claims": claims, "n_supported": n_supported, "n_refuted": n_refuted,
        "checker": "c", "usage": {}, "error": None,
    }  # fmt: skip
    return msgspec.structs.replace(judged(prompt, text, score), evidence=evidence)


@pytest.mark.parametrize(("rule", "n_pairs"), [("any", 3), ("no-refuted", 2), ("more-supported", 1)])
def test_evidence_can_be_against_a_pair(rule: str, n_pairs: int) -> None:
    rows = [
        checked("p", "a", 4, 3, 0), checked("p", "b", 1, 1, 2),  # the better one is better supported
        checked("q", "c", 4, 3, 1), checked("q", "d", 1, 1, 2),  # a claim of the better one is refuted
        checked("r", "e", 4, 2, 0), checked("r", "f", 1, 2, 0),  # both are as well supported
    ]  # fmt: skip
    pairs, counts = make_pairs(rows, PairOptions(evidence=rule))  # type: ignore[arg-type]
    assert (len(pairs), counts.n_refuted, counts.n_prompts) == (n_pairs, 3 - n_pairs, 3)
    assert all(pair.evidence and pair.evidence[0]["tool"] == "search" for pair in pairs)


def test_a_filter_without_evidence_is_refused() -> None:
    with pytest.raises(InputError, match="needs judgments whose claims were looked up"):
        make_pairs([judged("p", "a", 1.0), judged("p", "b", 2.0)], PairOptions(evidence="no-refuted"))


def test_scores_of_two_judges_make_no_pair() -> None:
    import msgspec

    rows = [judged("p", "a", 1.0), msgspec.structs.replace(judged("p", "b", 0.5), judge="safety")]
    with pytest.raises(InputError, match="2 judges or rubrics"):
        make_pairs(rows, PairOptions())
