import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from msgspec import structs
from torch import Tensor
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence
from torch.nn.functional import softplus

from console.errors import InputError, TrainingError
from records import Pair, Response
from trainer.reward_model.bottleneck import (
    Bottleneck,
    contrastive,
    jensen_shannon,
    reported_information,
    sampled_symmetric_kl,
    symmetric_kl,
)
from trainer.reward_model.bottleneck_options import BottleneckOptions, Objective
from trainer.reward_model.options import RewardOptions
from trainer.reward_model.train import train_reward_model
from trainer.reward_model.trainer import features
from trainer.reward_model.views import view_pairs

SMALL = BottleneckOptions(z_dim=4, width=16)
OPTIONS = RewardOptions(learning_rate=1e-3, batch_size=4, micro_batch_size=4, warmup_share=0.0)
PAIRS = [
    Pair(
        prompt=[{"role": "user", "content": f"Question {n}?"}],
        chosen=[{"role": "assistant", "content": f"Good {n}."}],
        rejected=[{"role": "assistant", "content": f"A bad answer {n}."}],
        prompt_id=str(n),
    )
    for n in range(4)
]
RESPONSES = [
    Response(id=f"{n}-{k}", prompt_id=str(n), prompt=f"Task {n}.", response=f"Answer {k} {'word ' * k}", model="policy")
    for n in range(6)
    for k in range(2)
]
SAMPLES = view_pairs(RESPONSES, 0)


def number(tensor: Tensor) -> float:
    return float(tensor.detach())


def views(n: int = 6, d: int = 8) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    first = torch.randn(n, d, generator=generator)
    return first, first + 0.3 * torch.randn(n, d, generator=generator)


# the divergence


def normals(n: int = 5, z: int = 3) -> tuple[Normal, Normal]:
    generator = torch.Generator().manual_seed(2)

    def one() -> Normal:
        mean, scale = (torch.randn(n, z, generator=generator, dtype=torch.float64) for _ in range(2))
        return Normal(mean, scale.exp())

    return one(), one()


def test_the_symmetric_divergence_is_its_closed_form() -> None:
    first, second = normals()
    m1, s1, m2, s2 = first.mean, first.stddev, second.mean, second.stddev
    forth = ((s2 / s1).log() + (s1**2 + (m1 - m2) ** 2) / (2 * s2**2) - 0.5).sum(1)
    back = ((s1 / s2).log() + (s2**2 + (m2 - m1) ** 2) / (2 * s1**2) - 0.5).sum(1)
    assert torch.allclose(symmetric_kl(first, second), (forth + back) / 2)
    both = [MultivariateNormal(one.mean, scale_tril=torch.diag_embed(one.stddev)) for one in (first, second)]
    other_way = (kl_divergence(both[0], both[1]) + kl_divergence(both[1], both[0])) / 2
    assert torch.allclose(symmetric_kl(first, second), other_way)
    assert torch.allclose(symmetric_kl(first, first), torch.zeros(5, dtype=torch.float64))


def test_the_drawn_divergence_comes_to_the_closed_form() -> None:
    torch.manual_seed(0)
    first, second = Normal(torch.zeros(1, 2), 1.0), Normal(torch.tensor([[0.5, -0.3]]), 1.5)
    n = 40_000
    many = [Normal(one.mean.expand(n, 2), one.stddev.expand(n, 2)) for one in (first, second)]
    drawn = sampled_symmetric_kl(many[0], many[1], many[0].sample(), many[1].sample())
    error = float(drawn.std()) / math.sqrt(n)
    assert float(drawn.mean()) == pytest.approx(number(symmetric_kl(first, second)), abs=4 * error) and error < 0.01


# the mutual information


def correlated(rho: float, n: int) -> tuple[Tensor, Tensor]:
    x, noise = torch.randn(n, 1), torch.randn(n, 1)
    return x, rho * x + math.sqrt(1 - rho**2) * noise


def log_ratio(x: Any, y: Any, rho: float) -> Any:
    """Return log p(x, y) / p(x) p(y) of a standard normal pair with correlation `rho`."""
    return -0.5 * math.log(1 - rho**2) - (rho**2 * (x**2 + y**2) - 2 * rho * x * y) / (2 * (1 - rho**2))


def best_bound(rho: float) -> float:
    """Return the Jensen-Shannon bound of the best critic, integrated over a grid."""
    grid = np.linspace(-8, 8, 1601)
    x, y = np.meshgrid(grid, grid)
    apart = np.exp(-(x**2 + y**2) / 2) / (2 * np.pi)
    t = log_ratio(x, y, rho)
    together = apart * np.exp(t)
    integrand = -together * np.logaddexp(0, -t) - apart * np.logaddexp(0, t)
    return float(integrand.sum() * (grid[1] - grid[0]) ** 2)


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_at_the_best_critic_both_bounds_are_what_they_bound(rho: float) -> None:
    torch.manual_seed(0)
    x, y = correlated(rho, 400_000)
    positive, negative = log_ratio(x, y, rho)[:, 0], log_ratio(x.roll(1, 0), y, rho)[:, 0]
    assert number(jensen_shannon(positive, negative)) == pytest.approx(best_bound(rho), abs=0.01)
    # E'[exp T] is 1, but it has a heavy tail: at rho 0.9 its error is some hundredths.
    assert number(reported_information(positive, negative)) == pytest.approx(-0.5 * math.log(1 - rho**2), abs=0.04)
    assert best_bound(0.0) == pytest.approx(-2 * math.log(2), abs=1e-6)


def learnt(rho: float, negatives: str, n: int) -> tuple[float, float]:
    """Return the bound and the information that a trained critic finds, on new draws."""
    torch.manual_seed(0)
    net = Bottleneck(1, BottleneckOptions(z_dim=1, width=32, negatives=negatives))  # type: ignore[arg-type]
    optimizer = torch.optim.Adam(net.critic.parameters(), lr=5e-3)
    for _ in range(300):
        bound, _ = net.information(*correlated(rho, n))
        optimizer.zero_grad()
        (-bound).backward()
        optimizer.step()
    with torch.no_grad():
        found = [net.information(*correlated(rho, n)) for _ in range(20_000 // n)]
    return tuple(float(np.mean([number(one[place]) for one in found])) for place in (0, 1))  # type: ignore[return-value]


def test_a_trained_critic_finds_the_information_and_more_of_it_where_there_is_more() -> None:
    found = {rho: learnt(rho, "roll", 256) for rho in (0.5, 0.85)}
    for rho, (bound, information) in found.items():
        assert bound == pytest.approx(best_bound(rho), abs=0.02), rho
        assert information == pytest.approx(-0.5 * math.log(1 - rho**2), abs=0.05), rho
    assert 0 < found[0.5][1] < found[0.85][1]


def test_all_other_prompts_as_negatives_find_the_same() -> None:
    bound, information = learnt(0.6, "all", 24)
    assert bound == pytest.approx(best_bound(0.6), abs=0.02)
    assert information == pytest.approx(-0.5 * math.log(1 - 0.36), abs=0.05)


def test_negatives_are_the_next_or_all_others_and_never_the_same_prompt() -> None:
    left, right = views(5, 4)
    net = Bottleneck(8, SMALL)

    def scores(pairs: list[tuple[int, int]]) -> Tensor:
        return torch.stack([net.critic(torch.cat([left[i], right[j]])) for i, j in pairs])[:, 0]

    positive = scores([(i, i) for i in range(5)])
    for negatives, pairs in {
        "roll": [((i - 1) % 5, i) for i in range(5)],
        "all": [(i, j) for i in range(5) for j in range(5) if i != j],
    }.items():
        net.options = replace(SMALL, negatives=negatives)  # type: ignore[arg-type]
        bound, reported = net.information(left, right)
        negative = scores(pairs)
        expected = -softplus(-positive).mean() - softplus(negative).mean()
        assert number(bound) == pytest.approx(number(expected), abs=1e-6)
        assert number(reported) == pytest.approx(number(positive.mean() - negative.exp().mean() + 1), abs=1e-6)


# the objectives


def drawn_again(net: Bottleneck, first: Tensor, second: Tensor) -> tuple[Normal, Normal, Tensor, Tensor]:
    torch.manual_seed(3)
    one, other = net.encode(first), net.encode(second)
    return one, other, one.rsample(), other.rsample()


@pytest.mark.parametrize("divergence", ["analytic", "monte_carlo"])
def test_mib_is_divergence_less_information_and_mvi_the_latter_alone(divergence: Any) -> None:
    first, second = views()
    net = Bottleneck(8, replace(SMALL, divergence=divergence))
    one, other, z1, z2 = drawn_again(net, first, second)
    bound, reported = net.information(z1, z2)
    if divergence == "analytic":
        independent = [Independent(normal, 1) for normal in (one, other)]
        skl = (kl_divergence(*independent) + kl_divergence(*independent[::-1])).mean() / 2
    else:
        skl = sampled_symmetric_kl(one, other, z1, z2).mean()
    torch.manual_seed(3)
    term = net(first, second)
    assert number(term.loss) == pytest.approx(number(skl - bound), abs=1e-5)
    assert number(term.figures["divergence"]) == pytest.approx(number(skl), abs=1e-5)
    assert number(term.figures["mutual_information"]) == pytest.approx(number(reported), abs=1e-5)
    net.options = replace(net.options, objective="mvi")
    torch.manual_seed(3)
    assert number(net(first, second).loss) == pytest.approx(number(-bound), abs=1e-5)


def test_infomax_is_the_information_between_a_view_and_its_own_z() -> None:
    first, second = views()
    net = Bottleneck(8, replace(SMALL, objective="infomax"))
    both = torch.cat([first, second])
    torch.manual_seed(3)
    bound, _ = net.information(both, net.encode(both).rsample())
    torch.manual_seed(3)
    term = net(first, second)
    assert number(term.loss) == pytest.approx(number(-bound), abs=1e-6) and "divergence" not in term.figures
    assert net.critic[0].in_features == 8 + 4


def test_contrastive_tells_each_view_by_its_partner() -> None:
    first, second = (one.double() for one in views(4, 3))
    cosine = np.array([[number(torch.cosine_similarity(a, b, dim=0)) for b in second] for a in first]) / 0.2
    forth = [math.log(np.exp(row).sum()) - row[i] for i, row in enumerate(cosine)]
    back = [math.log(np.exp(row).sum()) - row[i] for i, row in enumerate(cosine.T)]
    expected = (np.mean(forth) + np.mean(back)) / 2
    term = contrastive(first, second, 0.2)
    assert number(term.loss) == pytest.approx(expected) == pytest.approx(-number(term.figures["bound"]))
    assert number(term.figures["mutual_information"]) == pytest.approx(math.log(4) - expected)
    net = Bottleneck(8, replace(SMALL, objective="contrastive"))
    assert number(net(*views()).loss) == number(contrastive(*(net.mean(one) for one in views()), 0.1).loss)
    assert number(contrastive(first, first, 0.01).loss) < 0.01 < number(contrastive(first, first.roll(1, 0), 0.01).loss)


@pytest.mark.parametrize("objective", ["mib", "mvi", "infomax", "contrastive"])
def test_the_gradient_reaches_every_net_and_the_features(objective: Objective) -> None:
    first, second = (one.requires_grad_() for one in views())
    net = Bottleneck(8, replace(SMALL, objective=objective))
    net(first, second).loss.backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in net.parameters())
    assert all(bool((one.grad.abs().sum(1) > 0).all()) for one in (first, second) if one.grad is not None)
    assert first.grad is not None and second.grad is not None


def test_a_feature_is_the_last_token_or_the_mean_and_padding_is_neither() -> None:
    hidden, mask = torch.randn(2, 3, 4), torch.tensor([[1, 1, 0], [1, 1, 1]])
    assert torch.equal(features(hidden, mask, "last"), torch.stack([hidden[0, 1], hidden[1, 2]]))
    expected = torch.stack([hidden[0, :2].mean(0), hidden[1].mean(0)])
    assert torch.allclose(features(hidden, mask, "mean"), expected)


# trained jointly


def weights(folder: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def backbone(folder: Path) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in weights(folder).items() if not name.startswith(("score", "lm_head"))}


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_the_term_alone_moves_the_backbone_and_its_nets_are_not_saved(tiny_model: Path, tmp_path: Path) -> None:
    """In its first step a head of zeros gives the backbone no gradient of the pairs: what moves it is the term."""
    train_reward_model(tiny_model, tmp_path / "plain", PAIRS, OPTIONS, 0)
    trained = train_reward_model(tiny_model, tmp_path / "joint", PAIRS, OPTIONS, 0, samples=SAMPLES, bottleneck=SMALL)
    assert trained.n_steps == 1
    assert same(backbone(tmp_path / "plain"), backbone(tiny_model))
    assert not same(backbone(tmp_path / "joint"), backbone(tiny_model))
    assert weights(tmp_path / "joint").keys() == weights(tmp_path / "plain").keys()
    heads = [weights(tmp_path / name)["score.weight"] for name in ("joint", "plain")]
    assert torch.allclose(*heads, atol=1e-5) and bool(heads[0].abs().min() > 5e-4)


@pytest.mark.parametrize("objective", ["mib", "infomax"])
def test_the_loss_is_that_of_the_pairs_and_lambda_times_the_term(
    objective: Objective, tiny_model: Path, tmp_path: Path
) -> None:
    bottleneck = replace(SMALL, objective=objective, weight=0.7)
    found = train_reward_model(tiny_model, tmp_path / "m", PAIRS, OPTIONS, 0, samples=SAMPLES, bottleneck=bottleneck)
    figures = {name.removeprefix("bottleneck/"): value for name, value in found.metrics.items()}
    divergence = figures["divergence"] if objective == "mib" else 0.0
    assert found.loss == pytest.approx(math.log(2) + 0.7 * (divergence - figures["bound"]), abs=1e-4)
    assert math.isfinite(figures["mutual_information"])


def test_joint_training_repeats_itself(tiny_model: Path, tmp_path: Path) -> None:
    options = replace(OPTIONS, micro_batch_size=2)
    for name in ("a", "b"):
        train_reward_model(tiny_model, tmp_path / name, PAIRS, options, 5, samples=SAMPLES, bottleneck=SMALL)
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))


def test_the_nets_learn_at_their_own_rate_from_each_steps_gradient_alone(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import TrainerCallback

    from trainer.reward_model import train

    fit, seen = train.fit, {}

    def watched(joint: Any, *args: Any, **kwargs: Any) -> Any:
        seen["trainer"], seen["before"] = joint, [p.detach().clone() for p in joint.bottleneck.parameters()]
        norms = seen.setdefault("norms", [])

        class Norms(TrainerCallback):  # type: ignore[misc]
            def on_pre_optimizer_step(self, *args: Any, **kwargs: Any) -> None:
                norms.extend(number(p.grad.norm()) for p in joint.bottleneck.parameters())

        joint.add_callback(Norms())
        return fit(joint, *args, **kwargs)

    monkeypatch.setattr(train, "fit", watched)
    bottleneck = replace(SMALL, objective="contrastive", learning_rate=1e-9)
    options = replace(OPTIONS, learning_rate=1e-9, epochs=6)
    train_reward_model(tiny_model, tmp_path / "m", PAIRS, options, 0, samples=SAMPLES, bottleneck=bottleneck)
    joint = seen["trainer"]
    assert all(p.grad is None for p in joint.bottleneck.parameters())
    assert joint.optimizer.param_groups[-1]["initial_lr"] == 1e-9 and len(joint.optimizer.param_groups) == 3
    # Nothing moves at this rate, so each step over the same batch has the same gradient: sums would grow with the step.
    n = len(list(joint.bottleneck.parameters()))
    first, last = seen["norms"][:n], seen["norms"][-n:]
    assert len(seen["norms"]) == 6 * n and last == pytest.approx(first, rel=1e-3)
    assert all((p - q).abs().max() <= 6e-9 for p, q in zip(joint.bottleneck.parameters(), seen["before"], strict=True))


def test_a_micro_batch_has_its_pairs_and_as_many_view_pairs_as_asked(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    seen: list[int] = []
    forward = Bottleneck.forward

    def spy(self: Bottleneck, first: Tensor, second: Tensor) -> Any:
        seen.append(len(first))
        return forward(self, first, second)

    monkeypatch.setattr(Bottleneck, "forward", spy)
    options = replace(OPTIONS, micro_batch_size=2)
    three = [*PAIRS, *PAIRS[:1]]  # 5 pairs: the last micro-batch has one
    for n_each, expected in ((1, [2, 2]), (3, [3, 6, 6])):
        seen.clear()
        bottleneck = replace(SMALL, views_per_pair=n_each)
        trained = train_reward_model(
            tiny_model, tmp_path / str(n_each), three, options, 0, samples=SAMPLES, bottleneck=bottleneck
        )
        assert trained.n_examples == 5 and sorted(seen) == expected
    assert "15 view pairs are used per epoch, of 6" in capsys.readouterr().err


def test_view_pairs_too_long_are_left_out_and_counted(tiny_model: Path, tmp_path: Path, capsys: Any) -> None:
    long = (RESPONSES[0], structs.replace(RESPONSES[1], response="word " * 900))
    samples = [*SAMPLES, long]
    train_reward_model(tiny_model, tmp_path / "m", PAIRS, OPTIONS, 0, samples=samples, bottleneck=SMALL)
    assert "1 of 7 view pairs left out: over max_length (512 tokens)" in capsys.readouterr().err
    with pytest.raises(TrainingError, match="1 view pairs of the policy's answers"):
        train_reward_model(tiny_model, tmp_path / "n", PAIRS, OPTIONS, 0, samples=[SAMPLES[0], long], bottleneck=SMALL)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (BottleneckOptions(weight=-1), "weight must be above 0"),
        (BottleneckOptions(width=0), "width must be at least 1"),
        (BottleneckOptions(temperature=0), "temperature must be above 0"),
        (BottleneckOptions(views_per_pair=0), "views_per_pair must be at least 1"),
        (None, "give both or neither"),
    ],
)
def test_settings_out_of_range_are_refused_before_a_model_is_loaded(
    options: BottleneckOptions | None, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        train_reward_model(tmp_path / "none", tmp_path / "m", PAIRS, OPTIONS, 0, samples=SAMPLES, bottleneck=options)
    with pytest.raises(InputError, match="no negatives"):
        SMALL.check(micro_batch_size=1)
    assert BottleneckOptions().width_for(4096) == 1024 and BottleneckOptions().width_for(32) == 128
