from hypothesis import given, settings
from hypothesis import strategies as st

from engines.local.batches import MAX_BATCH_TOKENS, MIN_SHARED, plan, plan_trees
from engines.local.tree import tree_of

TOKENS = st.lists(st.integers(0, 3), min_size=1, max_size=40)


@settings(max_examples=200, deadline=None)
@given(st.lists(TOKENS, max_size=30), st.integers(1, 8), st.integers(0, 30))
def test_every_sequence_is_in_one_batch_and_the_prefix_is_common(
    sequences: list[list[int]], size: int, n_common: int
) -> None:
    sequences = [[9] * n_common + sequence for sequence in sequences]
    found = plan(sequences, size, 4, share_prefix=True)
    assert sorted(index for batch in found.batches for index in batch) == list(range(len(sequences)))
    assert all(1 <= len(batch) <= size for batch in found.batches)
    assert len({tuple(sequence[: found.n_prefix]) for sequence in sequences}) <= 1
    assert all(len(sequence) > found.n_prefix for sequence in sequences)
    assert found.n_prefix == 0 or found.n_prefix >= MIN_SHARED


def test_the_whole_common_prefix_is_shared() -> None:
    assert plan([[1] * 50 + [2], [1] * 50 + [3, 4]], 8, 1, share_prefix=True).n_prefix == 50
    assert plan([[1] * 50, [1] * 50], 8, 1, share_prefix=True).n_prefix == 49
    assert plan([[1] * 50 + [2], [1] * 50 + [3, 4]], 8, 1, share_prefix=False).n_prefix == 0


def test_batches_go_from_long_to_short_and_stay_under_the_token_limit() -> None:
    sequences = [[0] * n for n in (10, 8300, 20, 9000, 30)]
    batches = plan(sequences, 32, 10, share_prefix=False).batches
    assert batches[0] == [3] and batches[1] == [1]
    assert batches[2] == [4, 2, 0]
    assert MAX_BATCH_TOKENS < 2 * 8310


def test_answers_to_one_prompt_are_in_one_batch_wherever_they_are_asked() -> None:
    prompts = [[prompt] * 30 for prompt in (1, 2, 3)]
    sequences = [prompt for _ in range(3) for prompt in prompts]
    assert plan(sequences, 8, 1, share_prefix=False).batches == [[0, 3, 6, 1, 4, 7], [2, 5, 8]]
    assert plan([[1]] * 9 + [[2]] * 2, 4, 1, share_prefix=False).batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10]]


@settings(max_examples=200, deadline=None)
@given(st.lists(TOKENS, max_size=30), st.integers(1, 8), st.integers(0, 30), st.integers(1, 90))
def test_a_plan_of_trees_holds_every_sequence_once_and_keeps_its_limits(
    sequences: list[list[int]], size: int, n_common: int, max_tokens: int
) -> None:
    sequences = [[9] * n_common + sequence for sequence in sequences]
    found = plan_trees(sequences, size, max_tokens, share_prefix=True)
    assert sorted(index for batch in found.batches for index in batch) == list(range(len(sequences)))
    assert found.n_prefix == plan(sequences, size, 1, share_prefix=True).n_prefix
    for batch in found.batches:
        n_tokens = len(tree_of([sequences[index][found.n_prefix :] for index in batch]).tokens)
        assert len(batch) <= size and (n_tokens <= max_tokens or len(batch) == 1)


def test_a_batch_ends_between_prompts_if_it_can() -> None:
    prompts = [[prompt] * 30 for prompt in (1, 2, 3)]
    sequences = [[*prompt, answer] for answer in range(4) for prompt in prompts]
    batches = plan_trees(sequences, 32, 66, share_prefix=False).batches
    assert batches == [[0, 3, 6, 9], [1, 4, 7, 10], [2, 5, 8, 11]]  # four answers to one prompt, 34 tokens each
