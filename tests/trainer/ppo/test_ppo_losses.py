"""The arithmetic of PPO against plain loops in float64 that are written here by hand."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from trainer.ppo import losses

GAMMA, LAMBDA, CLIP = 0.9, 0.7, 0.2
LENGTHS = [5, 1, 3]
N, T = len(LENGTHS), max(LENGTHS)
MASK = torch.arange(T) < torch.tensor(LENGTHS)[:, None]
ON = [(b, t) for b in range(N) for t in range(LENGTHS[b])]


def draws(seed: int, scale: float = 1.0) -> torch.Tensor:
    return scale * torch.randn(N, T, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def spoiled(values: torch.Tensor) -> torch.Tensor:
    """Return `values` with what must never count beyond the answers' ends."""
    return torch.where(MASK, values, torch.tensor(1e6, dtype=values.dtype))


def check(found: torch.Tensor, expected: Callable[[int, int], float]) -> None:
    for b, t in ON:
        assert float(found[b, t]) == pytest.approx(expected(b, t), rel=1e-12, abs=1e-12)


def sequence(b: int, values: torch.Tensor) -> list[float]:
    return [float(values[b, t]) for t in range(LENGTHS[b])]


@pytest.mark.parametrize("clamp", [True, False])
def test_a_tokens_reward_is_its_price_and_the_score_comes_with_the_last(clamp: bool) -> None:
    logprobs, ref, scores = draws(1), draws(2), [2.0, -1.0, 0.5]
    found = losses.token_rewards(
        torch.tensor(scores, dtype=torch.float64), spoiled(logprobs), ref, MASK, 0.3, clamp=clamp
    )

    def expected(b: int, t: int) -> float:
        kl = float(logprobs[b, t] - ref[b, t])
        return -0.3 * (max(kl, 0.0) if clamp else kl) + (scores[b] if t == LENGTHS[b] - 1 else 0.0)

    check(found, expected)
    assert not found[~MASK].any()


def gae_by_hand(rewards: list[float], values: list[float]) -> list[float]:
    n = len(rewards)
    deltas = [rewards[t] + GAMMA * (values[t + 1] if t + 1 < n else 0.0) - values[t] for t in range(n)]
    return [sum((GAMMA * LAMBDA) ** k * deltas[t + k] for k in range(n - t)) for t in range(n)]


def test_advantages_and_returns_are_the_sums_over_what_follows() -> None:
    rewards, values = draws(3), draws(4)
    advantages, returns = losses.gae(spoiled(rewards), spoiled(values), MASK, GAMMA, LAMBDA)
    by_hand = [gae_by_hand(sequence(b, rewards), sequence(b, values)) for b in range(N)]
    check(advantages, lambda b, t: by_hand[b][t])
    check(returns, lambda b, t: by_hand[b][t] + float(values[b, t]))
    assert not advantages[~MASK].any() and not returns[~MASK].any()


def test_with_gamma_and_lambda_1_the_return_is_the_reward_still_to_come() -> None:
    rewards = draws(3)
    _, returns = losses.gae(rewards, draws(4), MASK, 1.0, 1.0)
    check(returns, lambda b, t: sum(sequence(b, rewards)[t:]))


@pytest.mark.parametrize("shift_mean", [True, False])
def test_whitening_divides_by_the_deviation_over_the_answers_tokens(shift_mean: bool) -> None:
    values = draws(5, 3.0) + 4
    flat = [float(values[b, t]) for b, t in ON]
    mean = sum(flat) / len(flat)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in flat) / len(flat) + losses.EPS)
    found = losses.whiten(spoiled(values), MASK, shift_mean=shift_mean)
    kept = 0.0 if shift_mean else mean
    check(found, lambda b, t: (float(values[b, t]) - mean) / deviation + kept)
    assert not found[~MASK].any()


def test_whitening_does_not_blow_up_what_hardly_varies() -> None:
    noise = 5 + 1e-6 * torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    assert losses.whiten(noise, torch.ones(4, 3, dtype=torch.bool)).abs().max() < 0.05


def policy_by_hand(
    logprobs: torch.Tensor, old: torch.Tensor, advantages: torch.Tensor
) -> tuple[float, dict[Any, float], int]:
    """Return the mean loss, its derivative for each token's log-probability, and how often the clip decides it."""
    total, slopes, n_clipped = 0.0, {}, 0
    for b, t in ON:
        ratio, advantage = math.exp(float(logprobs[b, t]) - float(old[b, t])), float(advantages[b, t])
        clipped = min(max(ratio, 1 - CLIP), 1 + CLIP)
        gain = min(ratio * advantage, clipped * advantage)
        total -= gain
        decided = clipped * advantage < ratio * advantage
        n_clipped += decided
        slopes[b, t] = 0.0 if decided else -ratio * advantage / len(ON)
    return total / len(ON), slopes, n_clipped


def test_the_policys_loss_and_gradient() -> None:
    old, advantages = draws(6, 0.5) - 2, draws(7)
    logprobs = (old + draws(8, 0.4)).requires_grad_()
    loss_BT, clipped_BT = losses.policy_loss(logprobs, old, advantages, CLIP)
    loss = losses.masked_mean(loss_BT, MASK)
    loss.backward()
    expected, slopes, n_clipped = policy_by_hand(logprobs.detach(), old, advantages)
    assert loss.item() == pytest.approx(expected, rel=1e-12)
    assert 0 < n_clipped < len(ON) and int(clipped_BT[MASK].sum()) == n_clipped
    assert logprobs.grad is not None and not logprobs.grad[~MASK].any()
    check(logprobs.grad, lambda b, t: slopes[b, t])


def test_the_values_loss_and_gradient() -> None:
    old, returns = draws(9), draws(10)
    values = (old + draws(11, 0.4)).requires_grad_()
    loss = losses.masked_mean(losses.value_loss(values, old, returns, CLIP), MASK)
    loss.backward()
    total, slopes = 0.0, {}
    for b, t in ON:
        value, before, goal = float(values.detach()[b, t]), float(old[b, t]), float(returns[b, t])
        held = min(max(value, before - CLIP), before + CLIP)
        total += 0.5 * max((value - goal) ** 2, (held - goal) ** 2)
        free = (value - goal) ** 2 >= (held - goal) ** 2
        inside = abs(value - before) < CLIP
        slopes[b, t] = (value - goal) / len(ON) if free or inside else 0.0
    assert loss.item() == pytest.approx(total / len(ON), rel=1e-12)
    assert values.grad is not None and not values.grad[~MASK].any()
    check(values.grad, lambda b, t: slopes[b, t])
    assert 0 < sum(slope == 0 for slope in slopes.values()) < len(ON)


def test_parts_of_a_batch_add_up_to_the_whole() -> None:
    values = draws(12)
    parts = [losses.masked_mean(values[b : b + 1], MASK[b : b + 1], len(ON)) for b in range(N)]
    assert float(sum(parts)) == pytest.approx(float(losses.masked_mean(values, MASK)), rel=1e-12)


def test_what_is_no_number_beyond_the_end_does_not_count() -> None:
    bad = torch.where(MASK, draws(13), torch.tensor(math.nan, dtype=torch.float64))
    assert math.isfinite(losses.masked_mean(bad, MASK)) and losses.whiten(bad, MASK).isfinite().all()
    advantages, _ = losses.gae(bad, bad, MASK, GAMMA, LAMBDA)
    assert advantages.isfinite().all()


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_log_probabilities_and_entropy_of_a_distribution(temperature: float) -> None:
    logits = torch.randn(2, 3, 7, generator=torch.Generator().manual_seed(0))
    tokens = torch.tensor([[0, 3, 6], [2, 2, 5]])
    logprobs, entropies = losses.token_logprobs(logits, tokens, temperature), losses.entropy(logits, temperature)
    for b in range(2):
        for t in range(3):
            weights = [math.exp(float(x) / temperature) for x in logits[b, t]]
            probs = [weight / sum(weights) for weight in weights]
            assert float(logprobs[b, t]) == pytest.approx(math.log(probs[tokens[b, t]]), rel=1e-5)
            assert float(entropies[b, t]) == pytest.approx(-sum(p * math.log(p) for p in probs), rel=1e-5)


def test_the_estimated_divergence_is_on_average_the_true_one() -> None:
    p, q = torch.tensor([0.5, 0.3, 0.2]).double(), torch.tensor([0.2, 0.5, 0.3]).double()
    estimates = losses.approx_kl(q.log()[None], p.log()[None])[0]
    assert float((p * estimates).sum()) == pytest.approx(float((p * (p / q).log()).sum()), rel=1e-12)
    assert (estimates >= 0).all()


def test_explained_variance() -> None:
    returns = draws(14)
    assert losses.explained_variance(returns, returns, MASK) == pytest.approx(1)
    assert losses.explained_variance(torch.zeros_like(returns), spoiled(returns), MASK) == pytest.approx(0)
    halved = losses.explained_variance(returns / 2, returns, MASK)
    assert halved == pytest.approx(0.75)
    assert losses.explained_variance(returns, torch.ones_like(returns), MASK) is None
