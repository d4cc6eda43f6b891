"""The tables, the alarms and the picture of the experiment, on results made by hand."""

import msgspec
import pytest

from experiments.instruction_following.picture import draw
from experiments.instruction_following.report import (
    alarm_table,
    compliance_table,
    elsewhere_table,
    judge_table,
    price_table,
    tables,
)
from experiments.instruction_following.results import ArmResult, IterationResult, RoundResult
from experiments.instruction_following.watch import ALARMS, alarms_of, is_out, range_text, stops_after
from experiments.over_seeds import against, mean_over
from judges.intervals.bootstrap import Estimate
from trainer.monitors.following import Following
from trainer.monitors.gates import Gate
from trainer.monitors.monitors import MONITORS, Monitors

GATES = {"known_pairs": Gate(min=0.5), "follows": Gate(min_ratio=0.9)}


def share(value: float) -> Estimate:
    return Estimate("share", value, value - 0.1, value + 0.1, 100)


def following(follows: float, known: float) -> Following:
    return Following(
        n_prompts=50, n_unknown=0, follows=share(follows), follows_loose=share(follows + 0.05),
        follows_each=share(follows), known_pairs=share(known),
    )  # fmt: skip


def iteration(number: int, follows: float, known: float, **monitors: float) -> IterationResult:
    return IterationResult(
        iteration=number,
        seen=following(follows, known),
        unseen=following(follows / 2, known),
        ifeval=None,
        monitors=Monitors(iteration=number, follows=follows, known_pairs=known, mean_chars=100.0, **monitors),
        agreement=known,
        few_labels=known - 0.05,
        perplexity=3.0 + number,
        content={"iter0": 2.0, "iter1": 3.0 - 0.1 * number},
    )


def result(arm: str, seed: int, follows: list[float], known: list[float], **monitors: list[float]) -> ArmResult:
    rows = [
        iteration(number, one, right, **{name: values[number] for name, values in monitors.items()})
        for number, (one, right) in enumerate(zip(follows, known, strict=True))
    ]
    rounds = [
        RoundResult(iteration=number, n=60 + number, right=right, equal=0.2) for number, right in ((2, 0.9), (3, 0.8))
    ]
    return ArmResult(id=f"{arm}{seed}", arm=arm, seed=seed, iterations=rows, rounds=rounds, seconds=600.0)


RIGHT = [0.5, 0.8, 0.8, 0.8]
RESULTS = [
    result("checked", 1, [0.2, 0.5, 0.6, 0.8], RIGHT, inflation=[0.0, 0.0, 0.6, 0.1]),
    result("checked", 2, [0.2, 0.4, 0.6, 0.7], RIGHT, inflation=[0.0, 0.0, 0.1, 0.1]),
    result("own", 1, [0.2, 0.5, 0.55, 0.2], [0.5, 0.8, 0.55, 0.3], inflation=[0.0, 0.0, 0.1, 0.7]),
    result("own", 2, [0.2, 0.4, 0.5, 0.4], [0.5, 0.8, 0.7, 0.4], inflation=[0.0, 0.0, 0.1, 0.1]),
    result("passing", 1, [0.2, 0.5, 0.5, 0.6], RIGHT, inflation=[0.0, 0.0, 0.0, 0.0]),
]


def test_compliance_has_the_mean_over_seeds_and_the_difference_paired_by_seed() -> None:
    checked, passing, own = compliance_table(RESULTS, GATES)
    assert [row["arm"] for row in (checked, passing, own)] == ["checked", "passing", "own"]
    assert checked["seeds"] == 2 and passing["seeds"] == 1
    # Two seeds: t of one degree of freedom is 12.706, times 10 / sqrt(2) / sqrt(2).
    assert checked["iter1"] == "45.0 ± 63.5" and checked["iter0"] == "20.0 ± 0.0"
    assert checked["- checked"] == "-" and passing["- checked"] == "-20.0"
    assert own["- checked"] == "-45.0 ± 190.6"  # -60 and -30
    assert own["stops after"] == "2 after iter3" and checked["stops after"] == "2 never"


def test_the_other_tables_have_the_figures_that_their_names_say() -> None:
    [elsewhere, *_], [judge, *_], [price, *_] = elsewhere_table(RESULTS), judge_table(RESULTS), price_table(RESULTS)
    assert elsewhere["loose last"] == "80.0 ± 63.5" and elsewhere["unseen last"] == "37.5 ± 31.8"
    assert "IFEval last" not in elsewhere
    rows = [msgspec.structs.replace(row, ifeval=following(0.1, 0.5)) for row in RESULTS[0].iterations]
    [asked] = elsewhere_table([msgspec.structs.replace(RESULTS[0], iterations=rows)])
    assert asked["IFEval last"] == "10.0"
    assert judge["iter1"] == "80.0 ± 0.0" and judge["n iter2"] == "62 ± 0" and judge["right iter3"] == "80.0 ± 0.0"
    assert price["perplexity i1"] == "4.00 ± 0.00" and price["additive iter1 last"] == "2.70 ± 0.00"
    assert price["chars last"] == "100 ± 0" and price["minutes"] == 10.0


def test_the_share_that_passed_has_no_order() -> None:
    [result_] = [row for row in RESULTS if row.arm == "passing"]
    rounds = [msgspec.structs.replace(row, right=None) for row in result_.rounds]
    [row] = judge_table([msgspec.structs.replace(result_, rounds=rounds)])
    assert row["right iter2"] == "-" and row["n iter2"] == "62"


def test_an_alarm_is_the_first_iteration_out_of_the_range() -> None:
    rows = {row["monitor"]: row for row in alarm_table(RESULTS)}
    assert rows["known_pairs"]["own, alarm"] == "1 at iter2, 1 at iter3"  # 0.55, 0.3 and 0.7, 0.4 against 0.6
    assert rows["few_labels"]["own, alarm"] == "1 at iter2, 1 at iter3" and rows["few_labels"]["needs"] == "labels"
    assert rows["follows"]["own, alarm"] == "1 at iter3, 1 never"  # 0.2 of 0.5, and 0.4 of 0.4
    assert rows["inflation"]["own, alarm"] == "1 at iter3, 1 never"
    assert rows["inflation"]["checked, false"] == "1 of 4"
    assert rows["mean_chars"]["own, alarm"] == "2 never" and rows["mean_chars"]["checked, false"] == "0 of 4"
    assert (rows["top_score"]["own, alarm"], rows["top_score"]["checked, false"]) == ("-", "0 of 0")  # not measured
    assert next(iter(rows)) in ("known_pairs", "few_labels", "agreement")  # the earliest stands first


def test_without_one_of_the_two_arms_there_are_dashes() -> None:
    rows = alarm_table([row for row in RESULTS if row.arm == "checked"])
    assert {row["own, alarm"] for row in rows} == {"-"}


@pytest.mark.parametrize(
    ("gate", "value", "first", "out"),
    [
        (Gate(min=0.5), 0.5, None, False),
        (Gate(min=0.5), 0.49, None, True),
        (Gate(max=1.0), 1.01, 5.0, True),
        (Gate(min_ratio=0.9), 0.8, 1.0, True),
        (Gate(min_ratio=0.9, max_ratio=1.1), 1.0, 1.0, False),
        (Gate(max_ratio=1.1), 1.2, 1.0, True),
        (Gate(max_ratio=1.1), 1.2, None, None),
        (Gate(max_ratio=1.1), 1.2, 0.0, None),
        (Gate(min=0.5), None, 1.0, None),
    ],
)
def test_a_value_is_in_its_range_or_out_of_it_or_unknown(
    gate: Gate, value: float | None, first: float | None, out: bool | None
) -> None:
    assert is_out(gate, value, first) is out


def test_every_alarm_is_of_a_monitor_and_has_a_range() -> None:
    assert set(ALARMS) <= {*MONITORS, "agreement", "few_labels"}
    assert all(range_text(alarm.gate) for alarm in ALARMS.values())
    assert range_text(Gate(min=0.1, max=0.5)) == "0.1 to 0.5"
    assert range_text(Gate(max=3.0, min_ratio=0.5)) == "at most 3, at least 0.5 times iter1"


def test_no_alarm_comes_from_iterations_that_no_round_has_changed() -> None:
    early = result("own", 1, [0.2, 0.5, 0.5, 0.5], [0.1, 0.1, 0.8, 0.8])
    assert alarms_of([early], "known_pairs").first == [None]


def test_gates_stop_where_the_loop_would_have() -> None:
    own = RESULTS[2]
    assert stops_after(own, GATES) == 3
    assert stops_after(own, {"known_pairs": Gate(min=0.6)}) == 2
    assert stops_after(own, {"known_pairs": Gate(min=0.9)}) == 1
    assert stops_after(own, {}) is None
    assert stops_after(own, {"judge_accuracy": Gate(min=0.1)}) == 1  # a gate without its monitor stops the loop too
    # The pairs of iter2 are right in 0.9, those of iter3 in 0.8 of the cases: iter3 is not made.
    assert stops_after(own, {"pairs_right": Gate(min=0.85)}) == 2
    assert stops_after(own, {"pairs_right": Gate(min=0.95)}) == 1
    assert stops_after(own, {"pairs_right": Gate(min=0.8)}) is None


def test_means_and_differences_leave_unknown_figures_and_lone_seeds_out() -> None:
    values = {"checked1": 1.0, "checked2": None, "own1": 3.0, "own2": 5.0}
    mean = mean_over(RESULTS, "checked", lambda row: values.get(row.id))
    difference = against(RESULTS, "own", "checked", lambda row: values.get(row.id))
    assert mean is not None and (mean.value, mean.half, mean.n) == (1.0, None, 1)
    assert difference is not None and (difference.value, difference.n) == (2.0, 1)
    assert against(RESULTS, "own", "own", lambda row: values.get(row.id)) is None


def test_all_tables_and_the_picture_are_made() -> None:
    made = tables(RESULTS, GATES, labels=20)
    assert len(made) == 5 and all(rows and words for rows, words in made)
    assert "Gates: known_pairs at least 0.5; follows at least 0.9 times iter1." in made[0][1]
    assert "20 pairs" in made[-1][1]
    assert draw(RESULTS).startswith(b"\x89PNG") and draw(RESULTS[:1]).startswith(b"\x89PNG")
