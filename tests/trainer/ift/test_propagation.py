import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from console.errors import InputError
from trainer.ift.options import Variant
from trainer.ift.propagation import discounted_sums, propagate

RISING = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
ALL = torch.ones(1, 4, dtype=torch.bool)
VARIANTS: tuple[Variant, ...] = ("equation", "algorithm", "released")


def in_a_loop(losses_BT: Tensor, mask_BT: Tensor, decay: float, variant: str, *, detach: bool = False) -> Tensor:
    """Return the loss, token by token in float64, from the formulas."""
    total, n_rows = torch.zeros((), dtype=torch.float64), 0
    for losses_T, mask_T in zip(losses_BT.double(), mask_BT, strict=True):
        targets = [t for t in range(len(mask_T)) if mask_T[t]]
        if not targets:
            continue
        n_rows += 1
        own = losses_T.detach() if detach else losses_T
        if decay == 0:
            weights = [torch.tensor(1.0) for _ in targets]
        elif variant == "equation":
            weights = [torch.tensor(float(sum(decay ** (t - n) for n in targets if n <= t))) for t in targets]
        else:
            found, following = torch.zeros((), dtype=torch.float64), {}
            for t in reversed(range(len(mask_T))):
                found = (own[t] if mask_T[t] else 0) + decay * found
                following[t] = found
            weights = [following[t] for t in targets]
            if variant == "released":
                weights = [w * len(targets) / sum(weights) for w in weights]
        row = sum(losses_T[t] * w for t, w in zip(targets, weights, strict=True))
        total = total + (row / len(targets) if variant == "released" else row)
    return total / max(n_rows, 1)


@pytest.mark.parametrize(
    ("losses", "decay", "weights", "loss"),
    [
        ([1.0, 2.0, 3.0, 4.0], 0.95, [1.277450, 1.195886, 0.961233, 0.565431], 2.203661),
        ([1.0, 1.0, 1.0, 1.0], 0.95, [1.560020, 1.199490, 0.819984, 0.420505], 1.0),
        ([4.0, 3.0, 2.0, 1.0], 0.95, None, 3.236823),
        ([1.0, 2.0, 3.0, 4.0], 1.0, [1.333333, 1.2, 0.933333, 0.533333], 2.166667),
        ([1.0, 2.0, 3.0, 4.0], 0.0, [1.0, 1.0, 1.0, 1.0], 2.5),
    ],
)
def test_the_released_form_has_its_known_values(
    losses: list[float], decay: float, weights: list[float] | None, loss: float
) -> None:
    found = propagate(torch.tensor([losses]), ALL, decay)
    assert float(found.loss) == pytest.approx(loss, abs=1e-5)
    if weights is not None:
        assert found.weights_BT[0].tolist() == pytest.approx(weights, abs=1e-5)


@pytest.mark.parametrize(
    ("detach", "gradient"),
    [(False, [0.276826, 0.251364, 0.223224, 0.188609]), (True, [0.319362, 0.298972, 0.240308, 0.141358])],
)
def test_the_gradient_flows_through_the_weights_unless_they_are_detached(detach: bool, gradient: list[float]) -> None:
    losses = RISING.clone().requires_grad_()
    propagate(losses, ALL, 0.95, detach=detach).loss.backward()
    assert losses.grad is not None and losses.grad[0].tolist() == pytest.approx(gradient, abs=1e-5)


def test_the_papers_two_forms_are_sums_by_hand() -> None:
    assert float(propagate(RISING, ALL, 1.0, "equation").loss) == 1 + 2 * 2 + 3 * 3 + 4 * 4
    assert float(propagate(RISING, ALL, 0.5, "equation").loss) == 1 + 2 * 1.5 + 3 * 1.75 + 4 * 1.875
    algorithm = propagate(RISING, ALL, 0.95, "algorithm")
    assert algorithm.weights_BT[0].tolist() == pytest.approx([9.037, 8.46, 6.8, 4.0], abs=1e-5)
    assert float(algorithm.loss) == pytest.approx(9.037 + 2 * 8.46 + 3 * 6.8 + 4 * 4.0, abs=1e-4)


def test_a_hundred_equal_losses_weigh_from_first_to_last_as_known() -> None:
    weights = propagate(torch.ones(1, 100), torch.ones(1, 100), 0.95).weights_BT[0]
    assert float(weights[0]) == pytest.approx(1.2256, abs=1e-4) and float(weights[-1]) == pytest.approx(
        0.0616, abs=1e-4
    )


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 3),
    width=st.integers(1, 17),
    decay=st.sampled_from([0.0, 0.3, 0.95, 1.0]),
    variant=st.sampled_from(VARIANTS),
    detach=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_gaps_and_rows_of_any_shape_are_as_in_a_loop(
    rows: int, width: int, decay: float, variant: Variant, detach: bool, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    losses = torch.rand(rows, width, generator=generator, dtype=torch.float64) * 5
    mask = torch.rand(rows, width, generator=generator) < 0.6
    ours, theirs = losses.clone().requires_grad_(), losses.clone().requires_grad_()
    found = propagate(ours, mask, decay, variant, detach)
    expected = in_a_loop(theirs, mask, decay, variant, detach=detach)
    assert torch.allclose(found.loss, expected, atol=1e-9)
    if mask.any():
        found.loss.backward()
        expected.backward()
        assert ours.grad is not None and theirs.grad is not None and torch.allclose(ours.grad, theirs.grad, atol=1e-9)


@pytest.mark.parametrize("decay", [0.95, 1.0])
def test_a_long_row_in_float32_is_as_exact_as_a_loop_in_float64(decay: float) -> None:
    values = torch.rand(2, 8192, generator=torch.Generator().manual_seed(0)) * 3
    expected, one = torch.empty(2, 8192, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    for t in reversed(range(8192)):
        one = values[:, t].double() + decay * one
        expected[:, t] = one
    found = discounted_sums(values, decay).double()
    assert float(((found - expected) / expected).abs().max()) < 1e-6


def test_a_row_without_a_target_does_not_count() -> None:
    losses = torch.cat([RISING, torch.full((1, 4), torch.nan)]).requires_grad_()
    mask = torch.cat([ALL, ~ALL])
    for variant in VARIANTS:
        found, alone = propagate(losses, mask, 0.95, variant), propagate(RISING, ALL, 0.95, variant)
        assert found.loss.item() == pytest.approx(alone.loss.item()) and not found.weights_BT[1].any()
    found.loss.backward()
    assert losses.grad is not None and bool(losses.grad[0].isfinite().all()) and not losses.grad[1].any()


def test_a_batch_without_a_target_has_the_loss_0_and_a_gradient() -> None:
    losses = RISING.clone().requires_grad_()
    propagate(losses, ~ALL).loss.backward()
    assert losses.grad is not None and not losses.grad.any() and propagate(losses, ~ALL).loss.item() == 0


def test_an_answer_that_is_certain_has_the_loss_0_and_no_gradient_that_is_not_a_number() -> None:
    losses = torch.zeros(1, 4, requires_grad=True)
    found = propagate(losses, ALL)
    found.loss.backward()
    assert found.loss.item() == 0 and losses.grad is not None and bool(losses.grad.isfinite().all())


def test_the_position_decays_in_a_gap_too() -> None:
    mask = torch.tensor([[True, False, False, True]])
    assert propagate(RISING, mask, 0.5, "algorithm").weights_BT.tolist() == [[1 + 4 / 8, 0, 0, 4]]
    assert propagate(RISING, mask, 0.5, "equation").weights_BT.tolist() == [[1, 0, 0, 1 + 1 / 8]]


def test_half_precision_losses_are_summed_in_float32() -> None:
    found = propagate(RISING.bfloat16(), ALL)
    assert found.loss.dtype == torch.float32 and float(found.loss) == pytest.approx(2.203661, abs=1e-5)


@pytest.mark.parametrize("decay", [-0.1, 1.01, float("nan")])
def test_a_decay_out_of_range_is_refused(decay: float) -> None:
    with pytest.raises(InputError, match=r"decay must be in \[0, 1\], not"):
        propagate(RISING, ALL, decay)


def test_a_mask_of_another_shape_and_an_unknown_variant_are_refused() -> None:
    with pytest.raises(InputError, match=r"mask_BT must have the shape of token_losses_BT, \(1, 4\), not \(4,\)"):
        propagate(RISING, ALL[0])
    with pytest.raises(InputError, match="variant must be one of equation, algorithm, released, not 'other'"):
        propagate(RISING, ALL, 0.95, "other")  # type: ignore[arg-type]
