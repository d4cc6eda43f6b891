from random import Random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engines.local.forked_cache import ForkedCache, LayerKV, closed_up

N_KV, N_GROUP, SIZE, N_NEW = 2, 3, 4, 6
# The places of the tokens of six rows: three answers to one prompt, two to another, one to a third.
PATHS = [[0, 1, 2], [0, 3], [0, 1, 2], [4, 5, 6, 7], [0, 3], [0, 1, 2]]


def attended(query_KGD: torch.Tensor, keys_KSD: torch.Tensor, values_KSD: torch.Tensor) -> torch.Tensor:
    return (query_KGD @ keys_KSD.transpose(1, 2)).softmax(-1) @ values_KSD


@pytest.mark.parametrize("n_prefix", [0, 5])
@torch.inference_mode()
def test_a_row_finds_what_it_would_find_among_its_own_copies(n_prefix: int) -> None:
    torch.manual_seed(0)
    random = Random(n_prefix)

    def kv(n: int) -> LayerKV:
        return torch.randn(N_KV, n, SIZE), torch.randn(N_KV, n, SIZE)

    prefix, read = [kv(n_prefix), kv(n_prefix)], [kv(8), kv(8)]
    copies = [
        [
            [torch.cat((p, r[:, path]), 1) for p, r in zip(*layer, strict=True)]
            for layer in zip(prefix, read, strict=True)
        ]
        for path in PATHS
    ]
    cache = ForkedCache(prefix if n_prefix else [], read, PATHS, N_NEW)
    rows = list(range(len(PATHS)))
    for _ in range(N_NEW):
        for layer in (0, 1):
            query_BKGD = torch.randn(len(rows), N_KV, N_GROUP, SIZE)
            new = [torch.randn(len(rows), N_KV, 1, SIZE) for _ in range(2)]
            found_BKGD = cache.attend(layer, query_BKGD, *new)
            for place, row in enumerate(rows):
                copies[row][layer] = [torch.cat((c, n[place]), 1) for c, n in zip(copies[row][layer], new, strict=True)]
                expected = attended(query_BKGD[place], *copies[row][layer])
                assert torch.allclose(found_BKGD[place], expected, atol=1e-5)
        if len(rows) > 1:
            rows = [rows[place] for place in cache.drop({random.randrange(len(rows))})]
    assert len(rows) == 1, "rows leave between all steps"


@torch.inference_mode()
def test_several_answers_share_the_memory_of_their_prompt_and_dropped_rows_give_theirs_back() -> None:
    cache = ForkedCache([], [(torch.zeros(1, 50, 4), torch.zeros(1, 50, 4))], [list(range(50))] * 8, n_new=2)

    def n_numbers() -> int:
        return sum(kv.untyped_storage().nbytes() // 4 for kv in (*cache.prompts[0], *cache.own[0]))

    assert n_numbers() == 2 * 4 * (50 + 8 * 2)
    cache.drop({0, 1, 2})
    assert n_numbers() == 2 * 4 * (50 + 8 * 2), "a few rows are not worth a copy"
    cache.drop({1})
    assert n_numbers() == 2 * 4 * (50 + 4 * 2)


@given(st.integers(1, 20), st.sets(st.integers(0, 19)))
def test_only_the_last_rows_move_to_the_places_of_those_that_are_gone(n: int, gone: set[int]) -> None:
    gone = {place for place in gone if place < n}
    order = closed_up(n, gone)
    assert sorted(order) == [place for place in range(n) if place not in gone]
    assert all(at == row or row >= len(order) for at, row in enumerate(order))
