from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import cohen_kappa_score

from engines.likelihood import likelihood_id
from judges.audit import agreement
from judges.audit.annotators import annotator_measures
from judges.audit.arrays import PairArrays, pair_arrays, score_arrays
from judges.audit.baselines import COMMONEST, LONGER, Baseline, pair_baselines, score_baselines
from judges.audit.bias import Bias, pair_biases, score_biases
from judges.audit.correction import corrected_win_rate, halves, rogan_gladen, unlabelled
from judges.audit.parts import SECTIONS, parts, sections
from judges.audit.result import About, Rerun, Settings, audit
from judges.intervals.bootstrap import Estimate
from judges.labelled.labels import CODE, Grade, LabelledPair, LabelledScore, LabelledSet, Verdict
from records.rows import Winner

LABELS: list[Winner] = ["a", "a", "b", "b", "tie", "a", "b", "tie"]
SAID: list[Winner | None] = ["a", "b", "b", "tie", "tie", "a", None, "a"]


def pair(
    label: Winner, number: int = 0, a: str = "x", b: str = "x", models: Sequence[str] = ("m", "n"), **meta: str
) -> LabelledPair:
    return LabelledPair(str(number), f"q{number}", a, b, label, str(number), (), models[0], models[1], meta)


def rows_of(
    labels: Sequence[Winner], said: Sequence[Winner | None], texts: Sequence[tuple[str, str]] = ()
) -> PairArrays:
    texts = texts or [("x", "x")] * len(labels)
    pairs = [pair(label, i, *texts[i]) for i, label in enumerate(labels)]
    return pair_arrays(pairs, [Verdict(winner) for winner in said], 300, 0)


def by_name(found: Sequence[Estimate]) -> dict[str, Estimate]:
    return {one.name: one for one in found}


def effect(found: Sequence[Bias], name: str) -> Bias:
    return next(one for one in found if one.effect.name.startswith(name))


def baseline(found: Sequence[Baseline], name: str) -> Baseline:
    return next(one for one in found if one.name == name)


def test_accuracies_by_hand_with_both_ways_to_count_a_tie() -> None:
    found = by_name(agreement.pair_measures(rows_of(LABELS, SAID)))
    assert found["accuracy (a, b, tie)"].value == pytest.approx(4 / 7)
    assert (found["accuracy, a tie is wrong"].value, found["accuracy, a tie is wrong"].n) == (3 / 5, 5)
    assert found["accuracy, a tie is half"].value == pytest.approx(3.5 / 5)
    assert found["tie rate"].value == pytest.approx(2 / 7)
    assert (found["unscored"].value, found["unscored"].n) == (1 / 8, 8)


def test_kappa_and_correlation_are_those_of_the_libraries_on_the_scored_rows() -> None:
    found = by_name(agreement.pair_measures(rows_of(LABELS, SAID)))
    truth = [CODE[x] for x, y in zip(LABELS, SAID, strict=True) if y is not None]
    said = [CODE[y] for y in SAID if y is not None]
    assert found["Cohen's kappa"].value == pytest.approx(cohen_kappa_score(truth, said))
    assert found["weighted kappa (quadratic)"].value == pytest.approx(
        cohen_kappa_score(truth, said, weights="quadratic")
    )
    assert found["Kendall tau-b"].value == pytest.approx(stats.kendalltau(truth, said).statistic)


def test_where_nothing_can_be_said_there_is_no_number() -> None:
    found = by_name(agreement.pair_measures(rows_of(["a", "a", "a"], ["a", "a", "a"])))
    assert found["accuracy, a tie is wrong"].value == 1.0
    low, high = found["accuracy, a tie is wrong"].low, found["accuracy, a tie is wrong"].high
    assert (low, high) == pytest.approx((0.438503, 1.0))  # all alike: Wilson's interval of three rows
    assert found["Cohen's kappa"].value is None and found["Pearson"].value is None
    silent = by_name(agreement.pair_measures(rows_of(["a", "b"], [None, None])))
    assert silent["unscored"].value == 1.0
    assert [one.value for name, one in silent.items() if name != "unscored"] == [None] * (len(silent) - 1)


def test_a_row_without_a_verdict_is_left_out_a_tie_or_wrong() -> None:
    rows = rows_of(["a", "tie", "b", "b"], ["a", None, "b", None])
    accuracies = {
        way: agreement.convention(rows, way)[0] for way in (agreement.LEFT_OUT, agreement.AS_TIES, agreement.AS_WRONG)
    }
    assert {way: (one.value, one.n) for way, one in accuracies.items()} == {
        agreement.LEFT_OUT: (1.0, 2),
        agreement.AS_TIES: (0.75, 4),
        agreement.AS_WRONG: (0.5, 4),
    }


def test_calibration_does_not_depend_on_which_answer_is_called_a() -> None:
    def error_of(labels: list[Winner], preferences: list[float]) -> float | None:
        verdicts = [Verdict("b" if p > 0.5 else "a", p) for p in preferences]
        rows = pair_arrays([pair(label, i) for i, label in enumerate(labels)], verdicts, 10, 0)
        return agreement.calibration(rows)[0].value

    found = error_of(["b", "b", "a", "tie"], [0.9, 0.7, 0.8, 0.99])
    assert found == pytest.approx((0.1 + 0.3 + 0.8) / 3)  # the tie says nothing
    assert error_of(["a", "a", "b", "tie"], [0.1, 0.3, 0.2, 0.01]) == pytest.approx(found)


def test_scores_are_correlated_within_each_prompt_and_constant_prompts_left_out() -> None:
    human = {"p": [3, 2, 1], "q": [1, 2, 3], "r": [1, 1, 1]}
    judge = {"p": [9, 5, 1], "q": [9, 5, 1], "r": [1, 2, 3]}
    items = [LabelledScore(f"{g}{i}", g, "x", s, g) for g, own in human.items() for i, s in enumerate(own)]
    grades = [Grade(s) for own in judge.values() for s in own]
    found = by_name(agreement.score_measures(score_arrays(items, grades, 100, 0), ranks=True))
    assert (found["Spearman within a prompt"].value, found["Spearman within a prompt"].n) == (0.0, 2)
    assert "Spearman" not in found  # ranks of different prompts cannot be compared


def test_human_agreement_by_hand() -> None:
    votes: list[tuple[Winner, ...]] = [("a", "a", "b"), ("b", "b", "b"), ("tie", "a", "b")]
    rows = [LabelledPair(str(i), "q", "", "", "a", str(i), own) for i, own in enumerate(votes)]
    found = annotator_measures(rows, np.ones((3, 3)))
    assert found[0].value == pytest.approx((1 / 3 + 1 + 0) / 3)
    assert annotator_measures([pair("a")], np.ones((3, 1))) == []


def test_position_bias_of_a_judge_that_always_takes_the_first() -> None:
    first: list[Verdict] = [Verdict("tie", None, None, "a", "b")] * 3 + [Verdict("a", None, None, "a", "a")]
    rows = pair_arrays([pair("a", i) for i in range(4)], first, 50, 0)
    found = pair_biases(rows, None)
    assert effect(found, "position: flip").effect.value == 0.75
    assert effect(found, "position: prefers").effect.value == pytest.approx(0.375)  # (3 * 1 + 1/2) / 4 - 1/2
    one_order = pair_biases(rows_of(["a"], ["a"]), None)
    assert effect(one_order, "position: flip").effect.value is None


def test_length_and_verbosity_of_a_judge_that_takes_the_longer() -> None:
    texts = [("long text", "x"), ("x", "long text"), ("long text", "x"), ("x", "long text"), ("same", "same")]
    labels: list[Winner] = ["a", "a", "b", "tie", "a"]
    found = pair_biases(rows_of(labels, ["a", "b", "a", "b", "a"], texts), None)
    length = effect(found, "length: prefers")
    assert (length.judge, length.against, length.effect.n) == (1.0, pytest.approx(1.5 / 4), 4)
    assert length.effect.value == pytest.approx(0.625)
    verbosity = effect(found, "verbosity")
    assert (verbosity.effect.value, verbosity.effect.n, verbosity.against) == (1.0, 3, 0.0)


def test_style_bias_looks_only_at_pairs_where_one_side_has_more() -> None:
    texts = [("- one\n- two", "one, two"), ("plain!", "plain"), ("# Title\ntext", "**bold** text")]
    found = pair_biases(rows_of(["b", "b", "b"], ["a", "a", "a"], texts), None)
    for name in ("lists", "headings", "bold", "exclamation"):
        assert effect(found, f"style: {name}").effect.n == 1
    assert effect(found, "style: lists").effect.value == 1.0 and effect(found, "style: bold").effect.value == -1.0


def test_self_preference_needs_pairs_by_the_judges_own_model() -> None:
    pairs = [pair("a", 0, models=("own", "n")), pair("a", 1, models=("n", "own")), pair("a", 2)]
    rows = pair_arrays(pairs, [Verdict("a"), Verdict("b"), Verdict("a")], 50, 0)
    found = effect(pair_biases(rows, "own"), "self")
    assert (found.judge, found.against, found.effect.value, found.effect.n) == (1.0, 0.5, 0.5, 2)
    assert effect(pair_biases(rows, "other"), "self").effect.value is None
    assert "give --own-model" in effect(pair_biases(rows, None), "self").effect.note


def test_length_is_no_bias_of_scores_that_the_labels_explain() -> None:
    generator = np.random.default_rng(0)
    lengths = generator.permutation(200)
    items = [LabelledScore(str(i), "q", "x" * int(n + 1), float(n), str(i)) for i, n in enumerate(lengths)]
    honest = [Grade(float(n) + generator.normal(0, 30)) for n in lengths]
    [found] = score_biases(score_arrays(items, honest, 100, 0))
    assert found.judge is not None and found.judge > 0.8  # follows length, as the labels do
    assert found.effect.value is None  # length and label are one and the same: nothing can be told apart
    shuffled = [
        LabelledScore(i.id, "q", "x" * int(n + 1), i.score, i.id) for i, n in zip(items, lengths[::-1], strict=True)
    ]
    [found] = score_biases(score_arrays(shuffled, honest, 100, 0))
    assert found.effect.low is not None and found.effect.low < 0 < (found.effect.high or 0)


def test_rogan_gladen_by_hand_and_undefined_for_a_judge_no_better_than_chance() -> None:
    # Of 100 with a true rate of 0.3, se 0.9, sp 0.8: judged 0.3 * 0.9 + 0.7 * 0.2 = 0.41.
    found = rogan_gladen(*(np.array([x]) for x in (0.41, 0.9, 0.8)))
    assert found[0] == pytest.approx(0.3)
    assert np.isnan(rogan_gladen(*(np.array([x]) for x in (0.5, 0.5, 0.5))))
    assert rogan_gladen(*(np.array([x]) for x in (0.99, 0.9, 0.8)))[0] == 1.0


def test_the_corrected_win_rate_undoes_the_errors_of_a_noisy_judge() -> None:
    generator = np.random.default_rng(0)
    labels: list[Winner] = ["b" if x < 0.3 else "a" for x in generator.random(4000)]
    said: list[Winner] = [
        ("b" if generator.random() < 0.9 else "a") if label == "b" else ("a" if generator.random() < 0.7 else "b")
        for label in labels
    ]
    calibration, rest = halves(rows_of(labels, said), 0)
    found = corrected_win_rate(calibration, rest)
    truth = found.labelled.value if found.labelled else None
    assert found.judged.value == pytest.approx(0.48, abs=0.03) and truth == pytest.approx(0.3, abs=0.03)
    assert found.corrected.value == pytest.approx(truth, abs=0.04)
    assert found.corrected.low is not None and found.corrected.low < (truth or 0) < (found.corrected.high or 0)
    outside = unlabelled("file", [Verdict(w) for w in said], [str(i) for i in range(4000)], 300, 0)
    assert corrected_win_rate(calibration, outside).labelled is None


def test_baselines_by_hand_and_the_judges_lead_over_them() -> None:
    texts = [("long", "x"), ("x", "long"), ("long", "x"), ("x", "long"), ("long", "x")]
    rows = rows_of(["a", "b", "b", "b", "tie"], ["a", "b", "b", None, "a"], texts)
    found = pair_baselines(rows, None)
    longer = baseline(found, LONGER)
    assert (longer.measure.value, longer.measure.n) == (pytest.approx(2 / 3), 3)  # the judge's rows with a preference
    assert longer.exact is not None and longer.exact.value == 0.5
    assert longer.lead.value == pytest.approx(1 / 3)
    assert baseline(found, COMMONEST).measure.value == pytest.approx(2 / 3)
    chance = found[0]
    assert chance.exact is not None and (chance.measure.value, chance.exact.value) == (0.5, pytest.approx(1 / 3))


def test_the_likelier_answer_as_a_baseline_leaves_out_unknown_ones() -> None:
    rows = rows_of(["a", "b"], ["a", "b"], [("x", "y"), ("x", "z")])
    known = {likelihood_id("q0", "x"): -1.0, likelihood_id("q0", "y"): -2.0, likelihood_id("q1", "x"): -1.0}
    found = pair_baselines(rows, known)[-1]
    assert (found.name, found.measure.value, found.measure.n) == ("the likelier is better", 1.0, 1)


def test_the_baseline_of_scores_is_a_correlation() -> None:
    human = [1.0, 2.0, 3.0, 4.0]
    items = [LabelledScore(str(i), "q", "x" * int(5 - s), s, str(i)) for i, s in enumerate(human)]
    [found] = score_baselines(score_arrays(items, [Grade(s) for s in human], 50, 0), None)
    assert (found.measure.value, found.lead.value) == (pytest.approx(-1), pytest.approx(2))


def test_parts_and_rewardbench_sections_weigh_math_as_much_as_code() -> None:
    pairs, verdicts = [], []
    for subset in (name for section in SECTIONS.values() for name in section):
        for _ in range(2):
            pairs.append(pair("a", len(pairs), subset=subset))
            verdicts.append(Verdict("a" if subset == "math-prm" else "tie"))
    found = parts(pair_arrays(pairs, verdicts, 50, 0))
    assert len(found) == 23 and {part.n for part in found} == {2}
    scores = sections(found)
    assert scores["Chat"] == scores["Safety"] == 50.0
    assert scores["Reasoning"] == pytest.approx(75.0)  # math all right, code half right, equal weights
    assert scores["mean"] == pytest.approx((50 + 50 + 50 + 75) / 4)
    assert sections(found[1:]).keys() & {"mean"} == set()  # a subset is missing


def test_rmbench_levels_are_parts_of_the_matrix() -> None:
    pairs = [
        pair("a", i * 3 + j, level="hard" if i < j else "normal" if i == j else "easy")
        for i in range(3)
        for j in range(3)
    ]
    said: list[Winner] = ["a" if p.meta["level"] != "hard" else "b" for p in pairs]
    found = {part.name: part for part in parts(pair_arrays(pairs, [Verdict(w) for w in said], 50, 0))}
    assert {name: part.tie_is_wrong.value for name, part in found.items()} == {"easy": 1.0, "hard": 0.0, "normal": 1.0}


def test_retest_counts_equal_verdicts_over_rows_that_both_runs_scored() -> None:
    labelled = LabelledSet("set", "pairs", "humans", tuple(pair("a", i) for i in range(4)))
    first = [Verdict("a", 0.2), Verdict("b", 0.8), Verdict("a", 0.1), Verdict(None, error="e")]
    again = [Verdict("a", 0.3), Verdict("a", 0.4), Verdict("a", 0.2), Verdict("b", 0.9)]
    found = audit(labelled, first, [], About("j", "text"), Settings(50), reruns=[Rerun(again, []), Rerun(first, [])])
    measures = by_name(found.measures)
    assert (measures["test-retest: equal verdicts"].value, measures["test-retest: equal verdicts"].n) == (5 / 6, 6)
    assert measures["test-retest: Pearson of the scores"].n == 6


def test_scores_of_several_prompts_are_also_looked_at_as_pairs() -> None:
    items = [LabelledScore(f"{g}/{i}", g, "x" * (i + 1), float(i), g) for g in "pq" for i in range(3)]
    labelled = LabelledSet("set", "scores", "humans", scores=tuple(items))
    grades = [Grade(float(i % 3)) for i in range(5)] + [Grade(None, "took 3.5 s")]
    found = audit(labelled, [], grades, About("j", "text"), Settings(50))
    measures = by_name(found.measures)
    assert (found.n_pairs, found.n_answers, found.unscored) == (6, 6, {"took # s": 1})
    assert measures["Spearman"].value == pytest.approx(1) and measures["Spearman"].n == 5
    assert measures["pairs of one prompt: accuracy, a tie is wrong"].value == 1.0
    assert measures["exact agreement, rounded"].value == 1.0
