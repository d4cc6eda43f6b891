import torch

from engines.local.sampling import draw, row_uniforms


def frequencies(probs: list[float], top_p: float, n: int = 20_000) -> torch.Tensor:
    logits = torch.tensor(probs).log().expand(n, -1)
    uniforms = torch.rand(n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return torch.bincount(draw(logits, uniforms, 1.0, top_p), minlength=len(probs)) / n


def test_draws_follow_the_distribution() -> None:
    probs = [0.1, 0.4, 0.2, 0.3]
    assert torch.allclose(frequencies(probs, 1.0), torch.tensor(probs), atol=0.01)


def test_top_p_keeps_the_smallest_set_that_holds_the_mass() -> None:
    found = frequencies([0.1, 0.4, 0.2, 0.3], 0.65)  # 0.4 and 0.3 hold 0.7
    assert torch.allclose(found, torch.tensor([0.0, 4 / 7, 0.0, 3 / 7]), atol=0.01)


def test_a_tiny_top_p_is_greedy() -> None:
    assert frequencies([0.1, 0.4, 0.2, 0.3], 1e-6).tolist() == [0.0, 1.0, 0.0, 0.0]


def test_temperature_zero_takes_the_most_likely_token() -> None:
    logits = torch.tensor([[0.0, 2.0, 1.0], [3.0, 2.0, 1.0]])
    assert draw(logits, torch.tensor([0.9, 0.9], dtype=torch.float64), 0.0, 0.9).tolist() == [1, 0]


def test_a_flat_distribution_over_a_large_vocabulary_is_not_cut_at_the_fast_path() -> None:
    logits = torch.zeros(4000, 1000)
    uniforms = torch.rand(4000, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    drawn = draw(logits, uniforms, 1.0, 0.9)
    assert 860 < len(drawn.unique()) <= 900  # of 900 equally likely tokens, about 98% turn up


def test_peaked_and_flat_rows_in_one_batch_do_not_disturb_each_other() -> None:
    torch.manual_seed(0)
    logits = torch.cat((torch.randn(5, 1000) * 8, torch.randn(5, 1000) * 0.01))
    uniforms = torch.rand(10, dtype=torch.float64)
    together = draw(logits, uniforms, 0.7, 0.9)
    alone = torch.cat([draw(logits[i : i + 1], uniforms[i : i + 1], 0.7, 0.9) for i in range(10)])
    assert together.tolist() == alone.tolist()


def test_the_ends_of_the_unit_interval_are_safe() -> None:
    logits = torch.tensor([[0.0, -float("inf"), 0.0]]).expand(2, -1)
    uniforms = torch.tensor([0.0, 1 - 2**-53], dtype=torch.float64)
    for top_p in (0.9, 1.0):
        assert 1 not in draw(logits, uniforms, 1.0, top_p).tolist()


def test_a_seed_gives_the_same_numbers_in_any_batch_and_for_any_length() -> None:
    long = row_uniforms([7, 8], 100)
    assert torch.equal(row_uniforms([8], 10)[0], long[1, :10])
    assert not torch.equal(long[0], long[1])
