import math
import re
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from console.errors import EngineError
from engines.choice_tokens.paths import encode_choices, exact_logprobs, inner_nodes
from engines.protocol import Request

VOCABULARY: dict[str, int] = {}


def encode(requests: Sequence[Request], ending: str) -> list[list[int]]:
    """Words with the space before them, single digits, and anything else alone, as many tokenizers have it."""
    found = []
    for request in requests:
        pieces = re.findall(r" ?[a-z]+| ?\d|.", request.prefill + ending)
        found.append([VOCABULARY.setdefault(piece, len(VOCABULARY)) for piece in pieces])
    return found


def pieces_of(tokens: Sequence[int]) -> list[str]:
    return [list(VOCABULARY)[token] for token in tokens]


def asked(*prefills: str) -> list[Request]:
    return [Request([], prefill=prefill) for prefill in prefills]


def test_choices_are_what_their_prompts_do_not_begin_with() -> None:
    paths, before = encode_choices(encode, asked("score:", "a longer score:"), ["1", "10", "not enough"])
    assert [pieces_of(path) for path in paths] == [["1"], ["1", "0"], ["not", " enough"]]
    assert [pieces_of(tokens) for tokens in before] == [["score", ":"], ["a", " longer", " score", ":"]]


def test_a_space_that_merges_with_a_choice_is_the_choices() -> None:
    paths, before = encode_choices(encode, asked("score: "), ["1", "10"])
    assert [pieces_of(path) for path in paths] == [[" 1"], [" 1", "0"]]
    assert [pieces_of(tokens) for tokens in before] == [["score", ":"]]
    paths, before = encode_choices(encode, asked("score: "), ["1", ">"])
    assert [pieces_of(path) for path in paths] == [[" 1"], [" ", ">"]]
    assert [pieces_of(tokens) for tokens in before] == [["score", ":"]]


@pytest.mark.parametrize("choices", [["1", "1"], ["1", ""]])
def test_choices_that_cannot_be_told_apart_are_refused(choices: list[str]) -> None:
    with pytest.raises(EngineError, match="have not each tokens of their own.*use --read text"):
        encode_choices(encode, asked("score:"), choices)


def test_a_choice_with_other_tokens_after_another_prompt_is_refused() -> None:
    with pytest.raises(EngineError, match="the same after every prompt"):
        encode_choices(encode, asked("score:", "score: "), ["1", "2"])


def test_beginnings_come_before_what_goes_on_from_them() -> None:
    assert inner_nodes([(5,), (6,)]) == [()]
    assert inner_nodes([(1,), (1, 0, 0), (1, 0), (2, 3)]) == [(), (1,), (1, 0), (2,)]


def test_the_mass_of_a_choice_is_without_that_of_longer_ones() -> None:
    paths = [(1,), (1, 0), (1, 0, 0), (2,)]
    found = exact_logprobs([math.log(p) for p in (0.6, 0.5, 0.2, 0.3)], paths)
    assert [math.exp(lp) for lp in found] == pytest.approx([0.1, 0.3, 0.2, 0.3])


def test_a_choice_that_always_goes_on_has_no_mass() -> None:
    assert exact_logprobs([math.log(0.5), math.log(0.5)], [(1,), (1, 0)])[0] == -math.inf
    assert exact_logprobs([-math.inf, -math.inf], [(1,), (1, 0)]) == (-math.inf, -math.inf)


@settings(deadline=None)
@given(st.lists(st.floats(-50, 0), min_size=2, max_size=6))
def test_choices_of_which_none_begins_another_are_left_as_they_are(joint: list[float]) -> None:
    assert exact_logprobs(joint, [(n,) for n in range(len(joint))]) == tuple(joint)
