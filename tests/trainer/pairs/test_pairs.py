import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from console.errors import InputError, TrainingError
from records import Judgment, Pair, Usage, read_rows
from records.files import BadRows
from records.shapes import read_chats
from records.store import write_rows
from tests.conftest import ROOT
from trainer.pairs.__main__ import main
from trainer.pairs.flags import Config
from trainer.pairs.options import PairOptions
from trainer.pairs.pairing import make_pairs, positive_chats


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


def test_a_margin_that_is_not_reached_is_named_and_no_tie() -> None:
    rows = [judged("p", "a", 3.0), judged("p", "b", 2.5)]
    assert make_pairs(rows, PairOptions(min_margin=0.4))[1].n_pairs == 1
    counts = make_pairs(rows, PairOptions(min_margin=0.5))[1]
    assert (counts.n_near, counts.n_tied, counts.n_filtered) == (1, 0, 1)
    equal = [judged("p", "a", 3.0), judged("p", "b", 3.0)]
    counts = make_pairs(equal, PairOptions(min_margin=0.5))[1]
    assert (counts.n_near, counts.n_tied, counts.n_filtered) == (0, 1, 0)


def test_the_same_text_with_two_scores_is_no_pair() -> None:
    rows = [judged("p", "a", 3.0), judged("p", "a", 2.0)]
    counts = make_pairs(rows, PairOptions())[1]
    assert (counts.n_same_text, counts.n_tied) == (1, 0)


def test_a_negative_margin_is_refused() -> None:
    with pytest.raises(InputError, match="min_margin"):
        make_pairs([], PairOptions(min_margin=-1))


def checked(prompt: str, text: str, score: float, n_supported: int, n_refuted: int) -> Judgment:
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
    with pytest.raises(InputError, match="needs judgments whose claims or constraints were checked"):
        make_pairs([judged("p", "a", 1.0), judged("p", "b", 2.0)], PairOptions(evidence="no-refuted"))


def test_scores_of_two_judges_make_no_pair() -> None:
    rows = [judged("p", "a", 1.0), msgspec.structs.replace(judged("p", "b", 0.5), judge="safety")]
    with pytest.raises(InputError, match="2 judges or rubrics"):
        make_pairs(rows, PairOptions())


def texts(rows: list[Judgment], **options: float) -> tuple[str, str]:
    [pair], _ = make_pairs(rows, PairOptions(**options))  # type: ignore[arg-type]
    return pair.chosen[0]["content"], pair.rejected[0]["content"]


def test_length_control_takes_the_shortest_good_and_the_longest_bad_answer() -> None:
    rows = [
        judged("p", "the best answer by a little", 5.0), judged("p", "as good", 4.6), judged("p", "ok", 3.0),
        judged("p", "nearly the worst of them", 1.3), judged("p", "worst", 1.0),
    ]  # fmt: skip
    assert texts(rows) == ("the best answer by a little", "worst")
    assert texts(rows, rho=0.1) == ("as good", "nearly the worst of them")  # 4.6 and above, 1.4 and below
    assert texts(rows, rho=0.05) == ("the best answer by a little", "worst")  # 4.8 and above, 1.2 and below
    assert texts(rows, rho=0.5) == ("ok", "nearly the worst of them")


def test_length_control_keeps_the_margin() -> None:
    rows = [judged("p", "the best", 5.0), judged("p", "mid", 3.0), judged("p", "the very worst", 1.0)]
    assert texts(rows, rho=0.5) == ("mid", "the very worst")
    assert make_pairs(rows, PairOptions(rho=0.5, min_margin=3.0))[1].n_near == 1
    with pytest.raises(InputError, match="rho"):
        make_pairs(rows, PairOptions(rho=0.6))


def test_equal_scores_are_told_apart_by_their_spread_and_then_their_order() -> None:
    rows = [judged("p", text, score) for text, score in (("a", 4.0), ("b", 4.0), ("c", 1.0), ("d", 1.0))]
    assert texts(rows) == ("a", "c")
    spread = [msgspec.structs.replace(row, spread=s) for row, s in zip(rows, (0.5, 0.2, None, 0.9), strict=True)]
    assert texts(spread) == ("b", "d")


judgments = st.lists(
    st.builds(
        lambda prompt, text, score, spread: msgspec.structs.replace(
            judged(prompt, text, score), spread=spread, read="text"
        ),
        st.sampled_from("pqrs"),
        st.text("ab", max_size=4),
        st.none() | st.sampled_from([0.0, 1.0, 2.5, 3.0, 4.0, 5.0]),
        st.none() | st.floats(0, 2),
    ),
    max_size=24,
)


@settings(deadline=None)
@given(judgments, st.floats(0, 0.5), st.floats(0, 3), st.floats(0.05, 1), st.floats(0.05, 1), st.integers(0, 3))
def test_any_judgments_give_pairs_that_are_in_order_and_counts_that_add_up(
    rows: list[Judgment], rho: float, min_margin: float, widest: float, share: float, seed: int
) -> None:
    options = PairOptions(rho=rho, min_margin=min_margin, widest=widest, max_score_share=share, weight="confidence")
    pairs, counts = make_pairs(rows, options, seed)
    assert counts.n_prompts == len({row.prompt_id for row in rows})
    lost = counts.n_tied + counts.n_too_few + counts.n_refuted + counts.n_disagreed + counts.n_outvoted
    lost += counts.n_near + counts.n_narrow + counts.n_same_text + counts.n_worse
    assert counts.n_prompts == counts.n_pairs + lost + counts.n_capped and counts.n_pairs == len(pairs)
    assert counts.n_unscored == sum(row.score is None or not row.response for row in rows)
    scored = {(row.prompt_id, row.response, row.score) for row in rows if row.score is not None}
    for pair in pairs:
        chosen, rejected = pair.chosen[0]["content"], pair.rejected[0]["content"]
        assert chosen != rejected and pair.chosen_score is not None and pair.rejected_score is not None
        assert pair.chosen_score > pair.rejected_score and pair.chosen_score - pair.rejected_score > min_margin
        assert {(pair.prompt_id, chosen, pair.chosen_score), (pair.prompt_id, rejected, pair.rejected_score)} <= scored
        assert 0 <= (pair.confidence or 0) <= 1 and 0 <= pair.weight <= 1
    assert len({pair.prompt_id for pair in pairs}) == len(pairs)


@settings(deadline=None)
@given(judgments)
def test_with_no_option_best_meets_worst(rows: list[Judgment]) -> None:
    for pair in make_pairs(rows, PairOptions())[0]:
        own = [row for row in rows if row.prompt_id == pair.prompt_id and row.response]
        scores = [row.score for row in own if row.score is not None]
        assert (pair.chosen_score, pair.rejected_score) == (max(scores), min(scores))


def test_the_command_writes_pairs_and_prints_what_became_of_the_prompts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [judged("p", "a", 4.0), judged("p", "b", 1.0), judged("q", "c", 2.0), judged("q", "d", 2.0)]
    write_rows(tmp_path / "judgments.jsonl", rows)
    config = Config(file=tmp_path / "judgments.jsonl", out=tmp_path / "pairs.jsonl", json=True)
    main(replace(config, dry_run=True))
    assert not config.out.exists()
    capsys.readouterr()
    main(config)
    [row] = json.loads(capsys.readouterr().out)
    assert (row["prompts"], row["pairs"], row["tied"], row["mean margin"]) == (2, 1, 1, 3.0)
    assert list(read_rows(config.out, Pair)) == make_pairs(rows, PairOptions())[0]
    main(config)
    assert (tmp_path / "pairs.jsonl.1").exists()


@pytest.mark.parametrize(("weight", "is_said"), [("one", False), ("confidence", True)])
def test_pairs_without_a_confidence_to_weight_them_by_are_counted(
    weight: Literal["one", "confidence"], is_said: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unsure = [msgspec.structs.replace(judged("p", text, score), scores=[]) for text, score in (("a", 4.0), ("b", 1.0))]
    write_rows(tmp_path / "judgments.jsonl", [*unsure, judged("q", "c", 2.0), judged("q", "d", 1.0)])
    options = PairOptions(weight=weight)
    main(Config(file=tmp_path / "judgments.jsonl", out=tmp_path / "pairs.jsonl", pairs=options))
    line = "--weight confidence: no confidence, so the weight 1, for 1 of 2 pairs"
    assert (line in capsys.readouterr().err) == is_said


def test_the_command_says_where_all_pairs_went(tmp_path: Path) -> None:
    write_rows(tmp_path / "judgments.jsonl", [judged("p", "a", 5.0), judged("p", "b", 5.0), judged("q", "c", 5.0)])
    with pytest.raises(TrainingError, match="none of 2 prompts gave a pair: 1 tied, 1 with fewer than two"):
        main(Config(file=tmp_path / "judgments.jsonl", out=tmp_path / "pairs.jsonl"))
    assert not (tmp_path / "pairs.jsonl").exists()


def test_the_command_takes_the_rejected_from_another_file(tmp_path: Path) -> None:
    write_rows(tmp_path / "new.jsonl", [judged("p", "new good", 4.0), judged("p", "new poor", 0.0)])
    write_rows(tmp_path / "old.jsonl", [judged("p", "old", 1.0)])
    main(Config(file=tmp_path / "new.jsonl", rejected_from=tmp_path / "old.jsonl", out=tmp_path / "pairs.jsonl"))
    [pair] = read_rows(tmp_path / "pairs.jsonl", Pair)
    assert (pair.chosen[0]["content"], pair.rejected[0]["content"]) == ("new good", "old")


def test_only_perfect_answers_become_chats(tmp_path: Path) -> None:
    rows = [
        judged("p", "perfect", 5.0),
        judged("p", "perfect", 5.0),
        judged("p", "good", 4.5),
        judged("q", "mute", None),
    ]
    write_rows(tmp_path / "judgments.jsonl", rows)
    config = Config(file=tmp_path / "judgments.jsonl", out=tmp_path / "chats.jsonl", positive_only=True)
    main(config)
    chat = [{"role": "user", "content": "p?"}, {"role": "assistant", "content": "perfect"}]
    assert list(read_chats(config.out, BadRows(strict=True))) == [chat]
    main(replace(config, positive_score=4.5))
    assert len(list(read_chats(config.out, BadRows(strict=True)))) == 2
    with pytest.raises(TrainingError, match="--positive-score"):
        main(replace(config, positive_score=6.0))


def test_make_pairs_needs_no_command_and_the_command_no_library() -> None:
    def loaded(*arguments: str) -> set[str]:
        found = subprocess.run(
            [sys.executable, "-X", "importtime", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
        )
        lines = [line.rsplit("|", 1)[1].strip() for line in found.stderr.splitlines() if "|" in line]
        return set(lines)

    assert "console.command" not in loaded("-c", "from trainer.pairs.pairing import make_pairs")
    assert not loaded("-m", "trainer.pairs", "--help") & {"torch", "transformers", "scipy", "numpy", "datasets"}


def test_what_the_margin_dropped_is_said_as_such(tmp_path: Path) -> None:
    write_rows(tmp_path / "j.jsonl", [judged("p", "a", 3.0), judged("p", "b", 2.5)])
    with pytest.raises(TrainingError, match="none of 1 prompts gave a pair: 1 within --min-margin"):
        main(Config(file=tmp_path / "j.jsonl", out=tmp_path / "p.jsonl", pairs=PairOptions(min_margin=0.5)))


@pytest.mark.parametrize("text", ["", " \n"])
def test_an_answer_without_a_text_is_neither_chosen_nor_rejected_whatever_its_score(text: str) -> None:
    rows = [judged("p", text, 5.0), judged("p", "a", 3.0), judged("p", "b", 1.0), judged("p", text, 0.0)]
    [pair], counts = make_pairs(rows, PairOptions())
    assert (pair.chosen[0]["content"], pair.rejected[0]["content"]) == ("a", "b")
    assert (counts.n_pairs, counts.n_unscored) == (1, 2)
    assert make_pairs(rows[:2], PairOptions())[1].n_too_few == 1
    assert make_pairs([judged("p", "a", 5.0), judged("p", "a \n", 1.0)], PairOptions())[1].n_same_text == 1
    assert positive_chats([judged("p", text, 5.0)]) == []
