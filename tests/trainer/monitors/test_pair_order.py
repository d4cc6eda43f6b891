"""The order of a round's pairs by what a program finds, and the gate on it."""

import pytest

from console.errors import InputError, TrainingError
from records import Pair, Prompt
from records.rows import Constraint, pair_of
from trainer.monitors.gates import Gate, check_gate_names, check_gates, check_pair_order
from trainer.monitors.monitors import Monitors
from trainer.monitors.pair_order import PairOrder, order_of

NO_COMMA, UNKNOWN = Constraint(kind="punctuation:no_comma"), Constraint(kind="nobody:knows")
PROMPTS = [
    Prompt(id="p", prompt="Q", constraints=[NO_COMMA]),
    Prompt(id="free", prompt="Q"),
    Prompt(id="unknown", prompt="Q", constraints=[UNKNOWN]),
]


def pair(chosen: str, rejected: str, prompt_id: str = "p", prompt: str = "Q") -> Pair:
    return pair_of(prompt, prompt_id, chosen, rejected)


def test_pairs_are_counted_by_their_order() -> None:
    pairs = [
        pair("none", "a, b"), pair("not one", "a, b"), pair("a, b", "none"), pair("a, b", "c, d"), pair("one", "two"),
        pair("none", "a, b", "free"), pair("none", "a, b", "unknown"), pair("none", "a, b", "of another round"),
        pair("none", "a, b", prompt="Grade this answer"),
    ]  # fmt: skip
    order = order_of(pairs, PROMPTS)
    assert order == PairOrder(n_right=2, n_wrong=1, n_equal=2) and order.right == pytest.approx(2 / 3)
    assert order_of(pairs[3:], PROMPTS).right is None


def test_a_gate_on_the_pairs_stops_before_the_training_and_says_what_to_do() -> None:
    gates = {"pairs_right": Gate(min=0.6)}
    check_pair_order(3, 0.6, gates)
    check_pair_order(3, None, {})
    with pytest.raises(TrainingError, match="iter3 .*before its training: pairs_right is 0.43.* at least 0.6; .*check"):
        check_pair_order(3, 0.43, gates)
    with pytest.raises(TrainingError, match="no pair has a side that is known to be better"):
        check_pair_order(3, None, gates)


def test_the_gate_on_the_pairs_is_no_gate_on_a_monitor() -> None:
    gates = {"pairs_right": Gate(min=0.6)}
    check_gate_names(gates)
    check_gates(Monitors(iteration=2), Monitors(iteration=1), gates)
    with pytest.raises(InputError, match="'pairs_right' has no value in iter1"):
        check_gate_names({"pairs_right": Gate(min_ratio=0.6)})
    with pytest.raises(InputError, match="did you mean 'pairs_right'"):
        check_gate_names({"pair_right": Gate(min=0.6)})
