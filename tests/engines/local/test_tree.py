from hypothesis import given, settings
from hypothesis import strategies as st

from engines.local.tree import tree_of

TOKENS = st.lists(st.integers(0, 2), min_size=1, max_size=12)


@settings(max_examples=200, deadline=None)
@given(st.lists(TOKENS, min_size=1, max_size=12), st.integers(1, 9))
def test_a_tree_has_each_beginning_once_and_a_token_sees_those_before_it_in_its_sequences(
    sequences: list[list[int]], block_tokens: int
) -> None:
    tree = tree_of(sequences, block_tokens)
    beginnings = {tuple(sequence[: n + 1]) for sequence in sequences for n in range(len(sequence))}
    assert len(tree.tokens) == len(beginnings)
    for sequence, path in zip(sequences, tree.paths, strict=True):
        assert [tree.tokens[place] for place in path] == sequence
        assert [tree.depths[place] for place in path] == list(range(len(sequence)))
        for n, place in enumerate(path):
            seen = [key for key in range(place + 1) if tree.subtree_ends[key] > place]
            assert seen == path[: n + 1]


@settings(max_examples=200, deadline=None)
@given(st.lists(TOKENS, min_size=1, max_size=12), st.integers(1, 9))
def test_blocks_hold_every_token_once_with_all_that_it_sees(sequences: list[list[int]], block_tokens: int) -> None:
    tree = tree_of(sequences, block_tokens)
    assert [at for block in tree.blocks for at in range(block.start, block.end)] == list(range(len(tree.tokens)))
    assert all(block.end - block.start <= block_tokens for block in tree.blocks)
    first_key = {at: block.first_key for block in tree.blocks for at in range(block.start, block.end)}
    assert all(first_key[place] <= path[0] for path in tree.paths for place in path)
