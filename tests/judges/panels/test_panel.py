from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import krippendorff
import numpy as np
import pytest
import tyro
from msgspec.structs import replace as changed

from console.command import Flags, parse
from console.errors import InputError
from engines.options import EngineOptions
from engines.scripted import ScriptedEngine
from judges.judging.judge import open_judge
from judges.judging.pairwise import Contest, compare
from judges.options import JudgeOptions, PanelOptions
from judges.panels.agreement import Level, step_of
from judges.panels.alpha import agreement_table, alpha_of_many_values, krippendorff_alpha
from judges.panels.panel import combine, combine_comparisons, members, panel_fingerprint
from judges.rubrics.rubric import load_rubric
from records import Comparison, Judgment, Response, Usage

ADDITIVE = load_rubric("additive")
NAMES = ["j1", "j2", "j3", "j4"]
RESPONSE = Response(id="r", prompt_id="p", prompt="Q", response="A", model="m")


def judgment(
    score: float | None, error: str | None = "hm", criteria: dict[str, float | None] | None = None
) -> Judgment:
    """Return the row of one judge, as the judge itself makes it."""
    [row] = open_judge(ScriptedEngine(reply=lambda _: "Score: 1"), JudgeOptions(read="text", samples=2), 0).judge(
        [RESPONSE]
    )
    return changed(row, score=score, error=error if score is None else None, criteria=criteria)


def comparison(preference_b: float | None, flipped: bool | None = False) -> Comparison:
    judge = open_judge(ScriptedEngine(reply=lambda _: "Better: A"), JudgeOptions(rubric="pairwise", read="text"), 0)
    [row] = compare(judge, [Contest("p", "Q", "A", "B", "x", "y")], set())
    winner = None if preference_b is None else "tie" if preference_b == 0.5 else "a" if preference_b < 0.5 else "b"
    return changed(row, preference_b=preference_b, winner=winner, flipped=flipped, error=None if winner else "hm")


def panel(*scores: float | None, quorum: int | None = None) -> Judgment:
    return combine([judgment(score) for score in scores], NAMES[: len(scores)], None, quorum, ADDITIVE)


def versus(*preferences: float | None, rule: str | None = None, quorum: int | None = None) -> Comparison:
    rows = [comparison(preference) for preference in preferences]
    return combine_comparisons(rows, NAMES[: len(rows)], rule, quorum)  # type: ignore[arg-type]


def test_a_panels_score_is_the_rubrics_aggregate_of_its_judges_scores() -> None:
    row = panel(1.0, 3.0, 5.0)
    assert (row.score, row.scores, row.read, row.members) == (3.0, [1.0, 3.0, 5.0], "panel", NAMES[:3])
    assert row.spread == pytest.approx((8 / 3) ** 0.5) and row.error is None and row.replies == []
    assert row.usage.n_calls == 6 and (row.response_id, row.model, row.rubric) == ("r", "m", "additive")


@pytest.mark.parametrize(
    ("rule", "score"), [("mean", 2.0), ("median", 1.0), ("majority", 1.0), ("max", 5.0), ("min", 1.0)]
)
def test_the_rule_can_be_given(rule: str, score: float) -> None:
    rows = [judgment(value) for value in (1.0, 1.0, 1.0, 5.0)]
    assert combine(rows, NAMES, rule, None, ADDITIVE).score == score  # type: ignore[arg-type]


def test_a_judge_without_a_verdict_has_no_vote() -> None:
    assert panel(2.0, None, 4.0).score == 3.0
    missing = combine([judgment(2.0), None, judgment(4.0)], NAMES[:3], None, None, ADDITIVE)
    assert (missing.score, missing.scores) == (3.0, [2.0, None, 4.0])
    assert (missing.n_samples, missing.missing) == (2, {"1": "no row"})
    assert (versus(1.0, None, 1.0).n_samples, versus(1.0, None, 1.0).missing) == (2, {"1": "hm"})
    assert missing.usage.n_calls == 4


def test_under_the_quorum_there_is_no_score_and_every_judges_reason_is_said() -> None:
    row = combine([judgment(2.0), None, judgment(None, "refused")], NAMES[:3], None, None, ADDITIVE)
    assert row.score is None and row.spread is None and row.scores == [2.0, None, None]
    assert row.error == "1 of 3 judges have a verdict, and 2 are needed; j2: no row; j3: refused"
    assert panel(2.0, None, None, quorum=1).score == 2.0 and panel(2.0, 2.0, None, quorum=3).score is None


def test_half_of_the_judges_is_not_more_than_half() -> None:
    assert panel(2.0, 2.0, None, None).score is None


def test_agreement_is_the_share_of_pairs_closer_than_half_a_step() -> None:
    assert panel(3.0, 3.4, 4.0).agreement == pytest.approx(1 / 3)  # 3 and 3.4; 3.4 and 4 are 0.6 apart
    assert panel(3.0, 3.5).agreement == 0 and panel(3.0, None, 3.49).agreement == 1
    assert panel(3.0, None).agreement is None


@pytest.mark.parametrize(("rubric", "step"), [("additive", 1), ("instruction_following", 0.5), ("pairwise_5", 0.25)])
def test_the_step_is_the_smallest_distance_between_two_verdicts(rubric: str, step: float) -> None:
    assert step_of(load_rubric(rubric)) == step


def test_criteria_are_combined_one_by_one_and_only_where_all_judges_grade_them() -> None:
    rows = [judgment(3.0, criteria={"x": 2.0, "y": 4.0}), judgment(2.0, criteria={"x": 1.0, "y": None}), judgment(None)]
    assert combine(rows, NAMES[:3], None, None, ADDITIVE).criteria == {"x": 1.5, "y": 4.0}
    other = [rows[0], judgment(2.0, criteria={"x": 1.0})]
    assert combine(other, NAMES[:2], None, None, ADDITIVE).criteria is None


def test_rows_on_different_responses_make_no_panel() -> None:
    other = changed(judgment(1.0), response_id="another")
    with pytest.raises(ValueError, match="one thing"):
        combine([judgment(1.0), other], NAMES[:2], None, None, ADDITIVE)
    with pytest.raises(ValueError, match="at least one"):
        combine([None, None], NAMES[:2], None, None, ADDITIVE)


def test_the_winner_is_that_of_more_than_half_of_the_votes_or_else_it_is_a_tie() -> None:
    row = versus(0.0, 0.2, 1.0)
    assert (row.winner, row.preference_b) == ("a", pytest.approx(0.4))
    assert row.first_order is None and row.second_order is None and row.usage.n_calls == 18 and row.orders == "both"
    assert versus(0.0, 0.2, 1.0, 0.5).winner == "tie"  # a has two of four
    assert versus(1.0, None, 1.0).winner == "b" and versus(0.0, 1.0).winner == "tie"


def test_without_a_quorum_there_is_no_winner_and_no_tie() -> None:
    row = versus(0.0, None, None)
    assert (row.winner, row.preference_b, row.flipped) == (None, None, None)
    assert row.error == "1 of 3 judges have a verdict, and 2 are needed; j2: hm; j3: hm"


def test_preferences_can_decide_instead_of_votes() -> None:
    assert versus(0.4, 0.4, 1.0).winner == "a"
    assert versus(0.4, 0.4, 1.0, rule="mean").winner == "b" and versus(0.4, 0.4, 1.0, rule="median").winner == "a"


def test_a_flip_of_any_judge_is_kept() -> None:
    def flipped(*flips: bool | None) -> bool | None:
        rows = [comparison(0.5, flip) for flip in flips]
        return combine_comparisons(rows, NAMES[: len(rows)], None, None).flipped

    assert flipped(False, True) is True and flipped(False, False) is False and flipped(None, None) is None


def test_the_fingerprint_is_of_the_judges_the_rule_and_the_quorum_and_not_of_their_order() -> None:
    base = panel_fingerprint(["a", "b", "c"], None, None)
    assert panel_fingerprint(["c", "a", "b"], None, None) == base == panel_fingerprint(["a", "b", "c"], None, 2)
    others = [panel_fingerprint(["a", "b"], None, 2), panel_fingerprint(["a", "b", "c"], "max", None)]
    assert len({base, *others, panel_fingerprint(["a", "b", "c"], None, 3)}) == 4
    assert panel(1.0, 2.0).judge == panel_fingerprint(["j1", "j2"], None, None)
    with pytest.raises(InputError, match="two judges of the panel are the same"):
        panel_fingerprint(["a", "b", "a"], None, None)


ENGINE = EngineOptions(model="base", concurrency=7)
JUDGE = JudgeOptions(read="text", temperature=0.2)


def made(*judges: str, **options: object) -> list[tuple[EngineOptions, JudgeOptions]]:
    return members(PanelOptions(judge=judges, **options), ENGINE, JUDGE)  # type: ignore[arg-type]


def test_a_name_and_a_served_name_take_the_commands_other_settings() -> None:
    [plain, served] = made("iter1", "org/big@http://host:8000/v1")
    assert plain == (replace(ENGINE, model="iter1"), JUDGE)
    assert served == (replace(ENGINE, model="org/big", base_url="http://host:8000/v1", engine="openai"), JUDGE)


def test_a_file_changes_what_it_names(tmp_path: Path) -> None:
    path = tmp_path / "j.toml"
    path.write_text('model = "m"\nbase_url = "http://h/v1"\nrubric = "additive"\nsamples = 9\ntemperature = 0\n')
    [_, found] = made("x", str(path))
    assert found == (
        replace(ENGINE, model="m", base_url="http://h/v1"),
        replace(JUDGE, samples=9, temperature=0.0),
    )


def test_a_files_model_of_this_process_does_not_take_the_commands_server(tmp_path: Path) -> None:
    path = tmp_path / "j.toml"
    path.write_text('model = "iter1"\nengine = "transformers"\n')
    served = replace(ENGINE, base_url="http://h/v1")
    [_, found] = members(PanelOptions(judge=("x", str(path))), served, JUDGE)
    assert found[0].base_url is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("temprature = 1\n", "unknown key 'temprature'; did you mean 'temperature'"),
        ('samples = "many"\n', "'samples' = 'many'"),
        ("min_coverage = 0.5\n", "'min_coverage' is for the whole panel"),
        ("concurrency = 3\n", "the panel has the same judge already"),
        ('rubric = "single_10"\n', "is from 1 to 10, that of --judge base is from 0 to 5"),
        ('rubric = "pairwise"\n', "is of comparisons, that of"),
    ],
)
def test_a_wrong_file_is_an_error_that_says_what(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "j.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        made("base", str(path))


@pytest.mark.parametrize(
    ("judges", "options", "message"),
    [
        (("a", "a"), {}, "--judge a: the panel has the same judge already"),
        (("a",), {}, "at least two judges"),
        (("a", "b"), {"quorum": 3}, "--quorum must be from 1 to the number of judges, 2, not 3"),
        (("a", "b"), {"quorum": 0}, "--quorum"),
        (("a", "none.toml"), {}, "none.toml: no such config file"),
    ],
)
def test_a_panel_that_cannot_be_is_refused(judges: tuple[str, ...], options: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        made(*judges, **options)


def test_the_most_and_the_least_make_no_sense_for_comparisons() -> None:
    with pytest.raises(InputError, match="--panel-rule max is for scores"):
        members(PanelOptions(judge=("a", "b"), panel_rule="max"), ENGINE, replace(JUDGE, rubric="pairwise"))


def test_no_judge_flag_means_no_panel() -> None:
    assert made() == []


@dataclass(frozen=True, kw_only=True)
class Command(Flags):
    judge: Annotated[JudgeOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=JudgeOptions)
    panel: Annotated[PanelOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=PanelOptions)


def test_the_flag_is_given_once_for_each_judge() -> None:
    found = parse(Command, ["--judge", "a", "--judge", "b", "--quorum", "2", "--rubric", "safety"], "prog")
    assert (found.panel.judge, found.panel.quorum, found.judge.rubric) == (("a", "b"), 2, "safety")


def values(level: Level, seed: int) -> "np.ndarray[tuple[int, int], np.dtype[np.float64]]":
    """Return the verdicts of a few judges who see the same thing, each with errors and gaps."""
    rng = np.random.default_rng([seed, len(level)])
    shape = (int(rng.integers(2, 6)), int(rng.integers(2, 40)))
    truth_N, noise_MN = rng.integers(0, 5, shape[1]), rng.integers(0, 5, shape)
    found_MN = np.where(rng.random(shape) < 0.6, truth_N, noise_MN).astype(float)
    found_MN += rng.random(shape) if level == "interval" else 0
    found_MN[rng.random(shape) < 0.3] = np.nan
    return found_MN


@pytest.mark.parametrize("level", ["nominal", "ordinal", "interval"])
def test_alpha_of_many_values_is_that_of_the_library(level: Level) -> None:
    n_compared = 0
    for seed in range(60):
        found_MN = values(level, seed)
        if krippendorff_alpha(found_MN, level) is not None:
            pairable_MN = found_MN[:, np.isfinite(found_MN).sum(axis=0) >= 2]
            expected = krippendorff.alpha(found_MN, level_of_measurement=level)
            assert krippendorff_alpha(found_MN, level) == pytest.approx(expected, abs=1e-9)
            assert alpha_of_many_values(pairable_MN, level) == pytest.approx(expected, abs=1e-9)
            n_compared += 1
    assert n_compared > 50


def test_alpha_is_the_published_one() -> None:
    nan = float("nan")
    found_MN = np.array(  # Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), example C
        [
            [1, 2, 3, 3, 2, 1, 4, 1, 2, nan, nan, nan],
            [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, nan, 3],
            [nan, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, nan],
            [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, nan],
        ]
    )
    found = [krippendorff_alpha(found_MN, level) for level in ("nominal", "ordinal", "interval")]
    assert found == pytest.approx([0.743, 0.815, 0.849], abs=0.0005)


@pytest.mark.parametrize("judges", [[[3.0, 3.0], [3.0, 3.0]], [[1.0, None], [None, 2.0]], [[], []]])
def test_an_alpha_that_is_not_defined_is_none(judges: list[list[float | None]]) -> None:
    *_, row = agreement_table({"a": judges[0], "b": judges[1]}, "ordinal")
    assert row["alpha"] is None and row["correlation"] is None


def test_the_table_has_each_pair_of_judges_and_all_of_them() -> None:
    scores: dict[str, list[float | None]] = {
        "a": [1.0, 2.0, 3.0, 4.0],
        "b": [1.2, 2.4, 2.9, None],
        "c": [4.0, 3.0, 2.0, 1.0],
    }
    ab, ac, bc, every = agreement_table(scores, "interval", step=1)
    assert [row["judges"] for row in (ab, ac, bc, every)] == ["a and b", "a and c", "b and c", "all"]
    assert (ab["units"], ab["same"], ac["units"], ac["same"], bc["same"]) == (3, 1.0, 4, 0.0, 0.0)
    assert ac["correlation"] == pytest.approx(-1) and ab["correlation"] == pytest.approx(0.97289, abs=1e-4)
    assert (every["units"], every["same"], every["correlation"]) == (4, 3 / 10, None)


def test_winners_are_the_same_or_not() -> None:
    row, _ = agreement_table({"a": [0.0, 1.0, 0.5, None], "b": [0.0, 1.0, 1.0, 0.0]}, "nominal")
    assert (row["units"], row["same"], row["correlation"]) == (3, pytest.approx(2 / 3), None)


def test_expected_scores_of_many_responses_take_little_time_and_memory() -> None:
    found_MN = np.random.default_rng(0).random((3, 200_000))  # 600,000 distinct values
    assert krippendorff_alpha(found_MN, "interval") == pytest.approx(0, abs=0.01)


def test_usage_is_added_up() -> None:
    rows = [changed(judgment(1.0), usage=Usage(n_calls=2, n_failed=1, n_tokens=5, seconds=0.5)) for _ in range(2)]
    assert combine(rows, NAMES[:2], None, None, ADDITIVE).usage == Usage(
        n_calls=4, n_failed=2, n_tokens=10, seconds=1.0
    )
