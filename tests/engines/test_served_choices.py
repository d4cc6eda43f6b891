import math
from itertools import product

import pytest

from engines.chat_reply import Alternative, Logprobs, Message, Reply, Token
from engines.served_choices import read_choices

TEN = [str(n) for n in range(1, 11)]
ARENA = ["A>>B", "A>B", "A=B", "B>A", "B>>A"]


def reply(*tokens: tuple[str, dict[str, float]], finish: str = "stop") -> Reply:
    """A reply of these tokens, each with the probabilities that the server lists at its position."""
    content = [
        Token(text, math.log(listed[text]), [Alternative(other, math.log(p)) for other, p in listed.items()])
        for text, listed in tokens
    ]
    return Reply(Message("".join(text for text, _ in tokens)), finish, Logprobs(content))


def masses(found: Reply, choices: list[str]) -> dict[str, float]:
    """The choices that have any probability."""
    logprobs = read_choices(found, choices)
    assert logprobs is not None and len(logprobs) == len(choices)
    return {choice: math.exp(lp) for choice, lp in zip(choices, logprobs, strict=True) if lp > -math.inf}


def test_a_choice_that_begins_another_has_what_does_not_go_on() -> None:
    found = reply(("1", {"1": 0.6, "8": 0.3, "9": 0.1}), ("0", {"0": 0.75, "\n": 0.25}))
    assert masses(found, TEN) == pytest.approx({"10": 0.45, "1": 0.15, "8": 0.3, "9": 0.1})
    found = reply(("1", {"1": 0.6, "8": 0.3}), (" point", {" point": 0.9, "0": 0.1}))
    assert masses(found, TEN) == pytest.approx({"10": 0.06, "1": 0.54, "8": 0.3})


def test_a_reply_that_ends_with_the_shorter_choice_names_it() -> None:
    assert masses(reply(("1", {"1": 0.6, "2": 0.4})), TEN) == pytest.approx({"1": 0.6, "2": 0.4})


def test_a_reply_cut_off_before_its_choice_is_clear_names_none() -> None:
    assert read_choices(reply(("1", {"1": 0.6, "2": 0.4}), finish="length"), TEN) is None
    assert read_choices(reply(("A", {"A": 0.6, "B": 0.4}), (">", {">": 0.9}), finish="length"), ARENA) is None


def test_another_token_that_only_begins_choices_counts_for_none() -> None:
    found = reply(("8", {"8": 0.7, "1": 0.2, "10": 0.05}))
    assert masses(found, TEN) == pytest.approx({"8": 0.7, "10": 0.05})


def test_a_choice_of_several_tokens_has_the_product_of_their_probabilities() -> None:
    found = reply(
        ("[[", {"[[": 0.9}),
        ("A", {"A": 0.8, "B": 0.2}),
        (">", {">": 0.5, ">>": 0.3, "=": 0.1}),
        ("B", {"B": 0.9, ">B": 0.1}),
        ("]]", {"]]": 1.0}),
    )
    assert masses(found, ARENA) == pytest.approx({"A>B": 0.8 * 0.5 * 0.9, "A>>B": 0.8 * 0.5 * 0.1})


def test_spaces_inside_and_around_a_choice_do_not_matter_to_where_its_tokens_end() -> None:
    choices = ["not enough", "enough", "tie"]
    found = reply((" not", {" not": 0.6, "tie": 0.4}), (" ", {" ": 0.7, " enough": 0.3}), ("enough", {"enough": 0.5}))
    assert masses(found, choices) == pytest.approx({"not enough": 0.6 * 0.3 + 0.6 * 0.7 * 0.5, "tie": 0.4})
    assert masses(reply(("tie\n", {"tie\n": 0.5, " tie": 0.25, "tie": 0.2})), choices) == pytest.approx({"tie": 0.95})


def test_a_word_that_only_begins_like_a_choice_is_passed_over() -> None:
    found = reply(
        ("An", {"An": 0.9, "A": 0.1}), ("swer", {"swer": 1.0}), (":", {":": 1.0}), (" A", {" A": 0.7, " B": 0.3})
    )
    assert masses(found, ["A", "B"]) == pytest.approx({"A": 0.7, "B": 0.3})
    found = reply(("A", {"A": 1.0}), (" good", {" good": 1.0}), (" B", {" B": 1.0}), (">A", {">A": 0.5}))
    assert masses(found, ARENA) == pytest.approx({"B>A": 0.5})


def test_no_tokens_name_no_choice() -> None:
    assert read_choices(reply(("I", {"I": 1.0}), (" think", {" think": 1.0})), TEN) is None
    assert read_choices(Reply(Message("4"), "stop", None), TEN) is None


def test_the_masses_are_those_of_all_texts_where_each_position_is_as_the_model_gives_it() -> None:
    # A model that writes each of two digits with the same probabilities whatever came before, then ends.
    first, second = {"1": 0.5, "2": 0.3, "3": 0.2}, {"0": 0.6, "1": 0.3, ".": 0.1}
    said = {a + b: p * q for (a, p), (b, q) in product(first.items(), second.items())}
    expected = {"1": said["1."], "10": said["10"], "11": said["11"]}
    assert masses(reply(("1", first), ("0", second)), ["1", "10", "11"]) == pytest.approx(expected)
