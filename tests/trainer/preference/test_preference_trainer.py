from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from torch.nn.functional import logsigmoid

from console.errors import InputError, TrainingError
from records import Pair
from tests.tiny import save_tiny_model
from trainer.dpo.options import DPOOptions
from trainer.dpo.train import train_dpo

BETA = 0.3
OPTIONS = DPOOptions(learning_rate=1e-3, beta=BETA, batch_size=4, micro_batch_size=2, warmup_share=0.0)


def pair(number: int, chosen: str, rejected: str, weight: float = 1.0, confidence: float | None = None) -> Pair:
    return Pair(
        prompt=[{"role": "user", "content": f"Question {number}?"}],
        chosen=[{"role": "assistant", "content": chosen}],
        rejected=[{"role": "assistant", "content": rejected}],
        prompt_id=str(number), weight=weight, confidence=confidence,
    )  # fmt: skip


PAIRS = [
    pair(0, "A short answer.", "A long answer that goes on and on and on.", 2.0, 0.9),
    pair(1, "One that is very much longer than the other answer is.", "Brief.", 0.5, 0.6),
    pair(2, "Yes.", "No, not at all.", 0.0, 0.75),
    pair(3, "It is seven.", "It is eight.", 1.5, 0.3),
]


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another model than the policy, so that the log-ratios are not all 0."""
    return save_tiny_model(tmp_path_factory.mktemp("reference") / "model", seed=1)


@cache
def loaded(folder: Path) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder).eval()


@cache
def margins(policy: Path, reference: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Return beta times the difference of the log-ratios of each pair, and how much longer the chosen answer is."""
    ratios, longer = [], []
    for one in PAIRS:
        (chosen, n_chosen), (rejected, n_rejected) = (
            sequence_logprob(policy, one.prompt, answer) for answer in (one.chosen, one.rejected)
        )
        of_reference = [sequence_logprob(reference, one.prompt, answer)[0] for answer in (one.chosen, one.rejected)]
        ratios.append(BETA * ((chosen - of_reference[0]) - (rejected - of_reference[1])))
        longer.append(float(n_chosen - n_rejected))
    return torch.tensor(ratios), torch.tensor(longer)


def sequence_logprob(folder: Path, prompt: list[dict[str, str]], answer: list[dict[str, str]]) -> tuple[float, int]:
    """Return the log-probability of an answer with the template's closing tokens, and the number of both."""
    tokenizer, model = loaded(folder)
    head = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, return_dict=False)
    whole = tokenizer.apply_chat_template([*prompt, *answer], return_dict=False)
    with torch.inference_mode():
        logprobs = model(torch.tensor([whole])).logits[0].double().log_softmax(-1)
    return sum(float(logprobs[i - 1, whole[i]]) for i in range(len(head), len(whole))), len(whole) - len(head)


def first_loss(policy: Path, reference: Path, out: Path, pairs: list[Pair], options: DPOOptions) -> float:
    """Return the loss of one step over all pairs, which is that of the model as it was."""
    trained = train_dpo(policy, out / "model", pairs, options, seed=0, reference=reference)
    assert trained.n_steps == 1
    return trained.loss


def test_plain_settings_train_as_the_stock_trainer_does(tiny_model: Path, tmp_path: Path) -> None:
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    from trainer.training.fit import fit, load_policy, trainer_settings
    from trainer.training.lengths import order_steps

    pairs = [msgspec.structs.replace(one, weight=1.0) for one in PAIRS * 3]
    trained = train_dpo(tiny_model, tmp_path / "ours", pairs, OPTIONS, seed=3)
    model, tokenizer = load_policy(tiny_model)
    rows = [{name: getattr(one, name) for name in ("prompt", "chosen", "rejected")} for one in pairs]
    stock = DPOTrainer(
        model=model,
        args=DPOConfig(**trainer_settings(OPTIONS, tmp_path / "work", 3), beta=BETA, precompute_ref_log_probs=True),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
    )
    order_steps(stock)  # or the sums inside a step differ in their last bits
    assert fit(stock, tmp_path / "stock", "stock").n_steps == trained.n_steps == 3
    ours, theirs = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("ours", "stock"))
    assert ours == theirs != (tiny_model / "model.safetensors").read_bytes()


def test_the_chosen_answers_own_loss_is_added_per_token(tiny_model: Path, reference: Path, tmp_path: Path) -> None:
    pairs = [msgspec.structs.replace(one, weight=1.0) for one in PAIRS]
    z, _ = margins(tiny_model, reference)
    chosen = [sequence_logprob(tiny_model, one.prompt, one.chosen) for one in pairs]
    n = sum(-logprob / n_tokens for logprob, n_tokens in chosen) / len(chosen)
    loss = first_loss(tiny_model, reference, tmp_path, pairs, replace(OPTIONS, sft_weight=0.5))
    assert loss == pytest.approx(float(-logsigmoid(z).mean()) + 0.5 * n, abs=1e-4)


def test_soft_labels_of_full_confidence_train_as_hard_ones(tiny_model: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    pairs = [msgspec.structs.replace(one, weight=1.0, confidence=1.0) for one in PAIRS * 3]
    train_dpo(tiny_model, tmp_path / "hard", pairs, OPTIONS, seed=3)
    train_dpo(tiny_model, tmp_path / "soft", pairs, replace(OPTIONS, labels="soft"), seed=3)
    hard, soft = (load_file(tmp_path / name / "model.safetensors") for name in ("hard", "soft"))
    assert all(torch.equal(hard[name], soft[name]) for name in hard)


def test_the_reference_may_be_another_model(tiny_model: Path, reference: Path, tmp_path: Path) -> None:
    pairs = [msgspec.structs.replace(one, weight=1.0) for one in PAIRS]
    z, _ = margins(tiny_model, reference)
    loss = first_loss(tiny_model, reference, tmp_path, pairs, OPTIONS)
    assert loss == pytest.approx(float(-logsigmoid(z).mean()), abs=1e-4) and abs(loss - 0.6931) > 0.05


def test_a_pair_counts_by_its_weight_over_the_mean_weight(tiny_model: Path, reference: Path, tmp_path: Path) -> None:
    z, _ = margins(tiny_model, reference)
    weights = torch.tensor([2.0, 0.5, 0.0, 1.5])  # their mean is 1
    expected = float((weights * -logsigmoid(z)).mean())
    assert first_loss(tiny_model, reference, tmp_path / "a", PAIRS, OPTIONS) == pytest.approx(expected, abs=1e-4)
    tenfold = [msgspec.structs.replace(one, weight=10 * one.weight) for one in PAIRS]
    assert first_loss(tiny_model, reference, tmp_path / "b", tenfold, OPTIONS) == pytest.approx(expected, abs=1e-4)


def test_a_soft_label_is_the_probability_that_the_label_is_right(
    tiny_model: Path, reference: Path, tmp_path: Path
) -> None:
    z, _ = margins(tiny_model, reference)
    p = torch.tensor([0.9, 0.6, 0.75, 0.3])
    pairs = [msgspec.structs.replace(one, weight=1.0) for one in PAIRS]
    loss = first_loss(tiny_model, reference, tmp_path, pairs, replace(OPTIONS, labels="soft"))
    assert loss == pytest.approx(float((-p * logsigmoid(z) - (1 - p) * logsigmoid(-z)).mean()), abs=1e-4)


def test_a_longer_chosen_answer_gets_its_length_for_nothing(tiny_model: Path, reference: Path, tmp_path: Path) -> None:
    z, longer = margins(tiny_model, reference)
    pairs = [msgspec.structs.replace(one, weight=1.0) for one in PAIRS]
    loss = first_loss(tiny_model, reference, tmp_path, pairs, replace(OPTIONS, length_alpha=0.07))
    assert loss == pytest.approx(float(-logsigmoid(z + 0.07 * longer).mean()), abs=1e-4)
    assert longer[0] < 0 < longer[1]


def test_length_regularisation_pushes_a_longer_chosen_answer_up_less() -> None:
    from trainer.preference.trainer import preference_loss

    longer, shorter = (torch.zeros(1, requires_grad=True) for _ in range(2))
    preference_loss(longer + 0.05 * 20, None, None, 1.0).backward()
    preference_loss(shorter - 0.05 * 20, None, None, 1.0).backward()
    assert longer.grad is not None and shorter.grad is not None
    assert shorter.grad.item() < longer.grad.item() < 0


def test_all_options_together_are_their_formula(tiny_model: Path, reference: Path, tmp_path: Path) -> None:
    ratio, longer = margins(tiny_model, reference)
    z, p, w = ratio + 0.02 * longer, torch.tensor([0.9, 0.6, 0.75, 0.3]), torch.tensor([2.0, 0.5, 0.0, 1.5])
    chosen = [sequence_logprob(tiny_model, one.prompt, one.chosen) for one in PAIRS]
    n = torch.tensor([-logprob / n_tokens for logprob, n_tokens in chosen])
    expected = float((w * (-p * logsigmoid(z) - (1 - p) * logsigmoid(-z) + 0.5 * n)).mean())
    options = replace(OPTIONS, labels="soft", length_alpha=0.02, sft_weight=0.5)
    assert first_loss(tiny_model, reference, tmp_path, PAIRS, options) == pytest.approx(expected, abs=1e-4)


def test_trl_still_reports_its_figures(tiny_model: Path, tmp_path: Path) -> None:
    trained = train_dpo(tiny_model, tmp_path / "model", PAIRS, OPTIONS, seed=0)
    assert {"rewards/accuracies", "rewards/margins", "logps/chosen"} <= trained.metrics.keys()


def test_what_the_loss_needs_is_checked_before_a_model_is_loaded(tmp_path: Path) -> None:
    def train(pairs: list[Pair], options: DPOOptions = OPTIONS) -> None:
        train_dpo(tmp_path / "no model", tmp_path / "out", pairs, options, seed=0)

    with pytest.raises(InputError, match="1 of 2 pairs have no confidence"):
        train([PAIRS[0], msgspec.structs.replace(PAIRS[1], confidence=None)], replace(OPTIONS, labels="soft"))
    with pytest.raises(InputError, match="0 or more"):
        train([msgspec.structs.replace(PAIRS[0], weight=-1.0)])
    with pytest.raises(TrainingError, match="weight of every preference pair is 0"):
        train([msgspec.structs.replace(PAIRS[0], weight=0.0)])
    with pytest.raises(InputError, match="length_alpha"):
        train(PAIRS, replace(OPTIONS, length_alpha=-0.1))


def test_a_reference_with_other_tokens_is_refused(tiny_model: Path, reference: Path, tmp_path: Path) -> None:
    import json
    import shutil

    other = tmp_path / "other"
    shutil.copytree(reference, other)
    table = json.loads((other / "tokenizer.json").read_text())
    vocabulary = table["model"]["vocab"]
    first, second = list(vocabulary)[10], list(vocabulary)[11]
    vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]
    (other / "tokenizer.json").write_text(json.dumps(table))
    with pytest.raises(InputError, match="cannot be its reference"):
        train_dpo(tiny_model, tmp_path / "out", PAIRS, OPTIONS, seed=0, reference=other)
