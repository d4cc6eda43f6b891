import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import torch

from console.errors import InputError, TrainingError
from records import Pair
from records.rated import Rated
from tests.trainer.preference.test_preference_trainer import PAIRS, sequence_logprob
from trainer.kto.options import KTOOptions
from trainer.kto.train import train_kto
from trainer.orpo.options import ORPOOptions
from trainer.orpo.train import train_orpo
from trainer.preference.losses import log_odds, orpo_loss, simpo_loss
from trainer.simpo.options import SimPOOptions
from trainer.simpo.train import train_simpo

FIRST = {"batch_size": 4, "micro_batch_size": 2, "warmup_share": 0.0, "learning_rate": 1e-3}
EQUAL = [msgspec.structs.replace(pair, weight=1.0) for pair in PAIRS]
CHOSEN, REJECTED = torch.tensor([-0.2, -1.5, -3.0]), torch.tensor([-0.9, -1.4, -0.05])


def means(folder: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean log-probability of the chosen and of the rejected answer of each of PAIRS."""
    found = []
    for pair in PAIRS:
        for answer in (pair.chosen, pair.rejected):
            total, n_tokens = sequence_logprob(folder, pair.prompt, answer)
            found.append(total / n_tokens)
    chosen, rejected = torch.tensor(found).view(-1, 2).T
    return chosen, rejected


def by_trl(beta: float) -> Any:
    """Return what TRL's own losses need of a trainer."""
    accelerator = SimpleNamespace(device=torch.device("cpu"))
    return SimpleNamespace(
        beta=beta, accelerator=accelerator, alpha=0.0, loss_type="simpo", simpo_gamma=1.6, label_smoothing=0.0
    )


def test_orpos_odds_are_trls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRL_EXPERIMENTAL_SILENCE", "1")
    from trl.experimental.orpo import ORPOTrainer

    theirs, *_ = ORPOTrainer.odds_ratio_loss(by_trl(0.25), CHOSEN, REJECTED)
    assert torch.allclose(orpo_loss(CHOSEN, REJECTED, 0.25), -CHOSEN - theirs, atol=1e-6)


def test_simpos_loss_is_trls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRL_EXPERIMENTAL_SILENCE", "1")
    from trl.experimental.cpo import CPOTrainer

    theirs, *_ = CPOTrainer.cpo_loss(by_trl(2.0), CHOSEN, REJECTED)
    assert torch.allclose(simpo_loss(CHOSEN, REJECTED, 2.0, 1.6), theirs, atol=1e-6)


def test_odds_are_exact_near_certainty_and_far_from_it() -> None:
    logprobs = torch.tensor([-1e-6, -1e-3, -0.5, -math.log(2), -0.7, -5.0, -80.0])
    exact = [p - math.log(-math.expm1(p)) for p in logprobs.double().tolist()]
    assert log_odds(logprobs).tolist() == pytest.approx(exact, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("logprob", [0.0, -1e-30, -1e-7, -1e-4, -200.0])
def test_an_answer_that_is_certain_or_impossible_has_a_loss_and_a_gradient(logprob: float) -> None:
    for chosen, rejected in ((logprob, -1.0), (-1.0, logprob), (logprob, logprob)):
        both = torch.tensor([chosen, rejected], requires_grad=True)
        loss = orpo_loss(both[:1], both[1:], 0.25).sum()
        loss.backward()
        assert math.isfinite(loss.item()) and both.grad is not None and bool(both.grad.isfinite().all())


def test_a_step_of_orpo_has_the_papers_loss(tiny_model: Path, tmp_path: Path) -> None:
    chosen, rejected = means(tiny_model)
    odds = [(p / (1 - p)).log() for p in (chosen.double().exp(), rejected.double().exp())]
    expected = (-chosen - 0.25 * torch.nn.functional.logsigmoid(odds[0] - odds[1])).mean()
    trained = train_orpo(tiny_model, tmp_path / "a", EQUAL, ORPOOptions(**FIRST, weight=0.25), seed=0)
    assert trained.n_steps == 1 and trained.loss == pytest.approx(float(expected), abs=1e-4)


def test_a_step_of_simpo_has_the_papers_loss_and_counts_by_weight(tiny_model: Path, tmp_path: Path) -> None:
    chosen, rejected = means(tiny_model)
    weights = torch.tensor([pair.weight for pair in PAIRS])  # their mean is 1
    expected = (weights * -torch.nn.functional.logsigmoid(2.0 * (chosen - rejected) - 1.6)).mean()
    trained = train_simpo(tiny_model, tmp_path / "a", PAIRS, SimPOOptions(**FIRST), seed=0)
    assert trained.loss == pytest.approx(float(expected), abs=1e-4)


def test_the_rewards_are_means_of_log_probabilities(tiny_model: Path, tmp_path: Path) -> None:
    chosen, rejected = means(tiny_model)
    options = SimPOOptions(**FIRST | {"micro_batch_size": 4}, beta=2.0)
    metrics = train_simpo(tiny_model, tmp_path / "a", EQUAL, options, seed=0).metrics
    assert metrics["rewards/chosen"] == pytest.approx(2 * float(chosen.mean()), abs=1e-4)
    assert metrics["rewards/margins"] == pytest.approx(2 * float((chosen - rejected).mean()), abs=1e-4)
    assert metrics["rewards/accuracies"] == pytest.approx(float((chosen > rejected).float().mean()))


@pytest.mark.parametrize(
    ("train", "options"),
    [(train_orpo, ORPOOptions(weight=1.0)), (train_simpo, SimPOOptions()), (train_kto, KTOOptions(beta=1.0))],
)
def test_training_parts_chosen_from_rejected_and_repeats_itself(
    train: Any, options: Any, tiny_model: Path, tmp_path: Path
) -> None:
    options = replace(options, learning_rate=3e-3, epochs=3, batch_size=2)

    def gap(folder: Path) -> float:
        chosen, rejected = means(folder)
        return float((chosen - rejected).mean())

    train(tiny_model, tmp_path / "a", EQUAL, options, seed=0)
    train(tiny_model, tmp_path / "b", EQUAL, options, seed=0)
    assert gap(tmp_path / "a") > gap(tiny_model) + 0.1
    first, second = ((tmp_path / name / "model.safetensors").read_bytes() for name in "ab")
    assert first == second


def test_kto_begins_at_half_and_sees_each_answer_by_itself(tiny_model: Path, tmp_path: Path) -> None:
    options = KTOOptions(batch_size=8, micro_batch_size=4)
    trained = train_kto(tiny_model, tmp_path / "a", EQUAL, options, seed=0)
    # the policy is its reference: every sigmoid is of 0, and the distance is 0
    assert trained.n_examples == 8 and trained.loss == pytest.approx(0.5, abs=1e-5)


def test_kto_learns_the_same_from_answers_that_are_labelled_one_by_one(tiny_model: Path, tmp_path: Path) -> None:
    options = KTOOptions(batch_size=4, learning_rate=1e-3)
    rated = [
        Rated(prompt=pair.prompt, answer=answer, is_good=is_good, finish_reason="length" if is_good else None)
        for pair in EQUAL
        for answer, is_good in ((pair.chosen, True), (pair.rejected, False))
    ]
    train_kto(tiny_model, tmp_path / "a", EQUAL, options, seed=0)
    trained = train_kto(tiny_model, tmp_path / "b", rated, options, seed=0)
    first, second = ((tmp_path / name / "model.safetensors").read_bytes() for name in "ab")
    assert first == second and trained.n_cut_off == len(EQUAL)


@pytest.mark.parametrize(
    ("train", "options", "name"),
    [
        (train_orpo, ORPOOptions(weight=0), "weight must be above 0, not 0"),
        (train_orpo, ORPOOptions(learning_rate=0), "learning_rate"),
        (train_simpo, SimPOOptions(beta=-1), "beta must be above 0, not -1"),
        (train_simpo, SimPOOptions(gamma_over_beta=-0.1), "gamma_over_beta must be at least 0"),
        (train_kto, KTOOptions(beta=0), "beta must be above 0"),
        (train_kto, KTOOptions(micro_batch_size=1), "micro_batch_size must be at least 2"),
    ],
)
def test_settings_out_of_range_are_refused_before_a_model_is_loaded(
    train: Any, options: Any, name: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=name):
        train(tmp_path / "no model", tmp_path / "a", EQUAL, options, seed=0)


@pytest.mark.parametrize(("train", "options"), [(train_orpo, ORPOOptions()), (train_simpo, SimPOOptions())])
def test_nothing_to_learn_from_is_an_error(train: Any, options: Any, tmp_path: Path) -> None:
    def run(pairs: list[Pair]) -> None:
        train(tmp_path / "no model", tmp_path / "a", pairs, options, seed=0)

    with pytest.raises(TrainingError, match="no preference pair"):
        run([])
    with pytest.raises(TrainingError, match="weight of every preference pair is 0"):
        run([msgspec.structs.replace(pair, weight=0.0) for pair in PAIRS])
    with pytest.raises(InputError, match="0 or more"):
        run([msgspec.structs.replace(PAIRS[0], weight=-1.0)])
