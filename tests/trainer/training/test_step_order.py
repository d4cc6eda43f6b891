"""The examples of an optimiser step are taken by length, which changes the padding and nothing else."""

from pathlib import Path

import pytest
import torch
from accelerate.data_loader import SeedableRandomSampler
from transformers import AutoModelForCausalLM

from records import Pair
from records.rows import messages_of
from trainer.dpo.options import DPOOptions
from trainer.dpo.train import train_dpo
from trainer.sft.options import SFTOptions
from trainer.sft.train import train_sft
from trainer.training.lengths import WINDOW, StepOrder

LENGTHS = [9, 2, 7, 4, 4, 8, 1, 3, 6, 5, 2]
ANSWERS = ["yes", "no " * 40, "one two", "so " * 25, "it", "three four five", "a " * 12, "b " * 33]


def test_each_epoch_takes_every_example_once_in_an_order_of_its_own() -> None:
    order = StepOrder(LENGTHS, 4, seed=0)
    first = list(order)
    order.set_epoch(1)
    second = list(order)
    assert sorted(first) == sorted(second) == list(range(len(LENGTHS))) and first != second
    order.set_epoch(0)
    assert list(order) == first and len(order) == len(LENGTHS)


def test_inside_a_step_lengths_rise_and_the_steps_themselves_stay_shuffled() -> None:
    lengths = [LENGTHS[place] for place in StepOrder(LENGTHS, 4, seed=0)]
    steps = [lengths[start : start + 4] for start in range(0, len(lengths), 4)]
    assert all(step == sorted(step) for step in steps) and lengths != sorted(lengths)


def test_grouped_steps_have_like_lengths_in_a_shuffled_order_and_every_example_once() -> None:
    lengths = [(7 * place) % 101 for place in range(101)]
    order = StepOrder(lengths, 4, seed=0, group=True)
    epochs = []
    for epoch in range(2):
        order.set_epoch(epoch)
        epochs.append(list(order))
        assert sorted(epochs[-1]) == list(range(101))
        steps = [[lengths[place] for place in epochs[-1][start : start + 4]] for start in range(0, 100, 4)]
        assert all(max(step) - min(step) <= 8 for step in steps)
        assert [step[0] for step in steps] != sorted(step[0] for step in steps)
    assert epochs[0] != epochs[1]


def test_only_the_examples_of_a_window_are_sorted_together() -> None:
    lengths = list(range(4 * 2 * WINDOW))
    steps = list(StepOrder(lengths, 4, seed=0, group=True))
    spans = [max(steps[start : start + 4]) - min(steps[start : start + 4]) for start in range(0, len(steps), 4)]
    assert max(spans) > 4


def test_a_step_has_the_examples_that_accelerate_would_give_it() -> None:
    order, theirs = StepOrder(LENGTHS, 4, seed=3), SeedableRandomSampler(LENGTHS, data_seed=3)
    for epoch in range(3):
        order.set_epoch(epoch)
        theirs.set_epoch(epoch)
        ours, stock = list(order), list(theirs)
        steps = range(0, len(LENGTHS), 4)
        assert all(set(ours[start : start + 4]) == set(stock[start : start + 4]) for start in steps)


@pytest.mark.parametrize("kind", ["sft", "dpo"])
def test_the_size_of_a_micro_batch_does_not_change_the_model(kind: str, tiny_model: Path, tmp_path: Path) -> None:
    weights = []
    for micro_batch_size in (1, 2, 4):
        shape = {"batch_size": 8, "micro_batch_size": micro_batch_size, "max_length": 128, "save_minutes": 0.0}
        out = tmp_path / str(micro_batch_size)
        if kind == "sft":
            train_sft(tiny_model, out, [_chat(text) for text in ANSWERS * 2], SFTOptions(1e-3, epochs=2, **shape), 0)
        else:
            train_dpo(tiny_model, out, [_pair(text) for text in ANSWERS * 2], DPOOptions(1e-3, epochs=2, **shape), 0)
        model = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32)
        weights.append(torch.cat([weight.detach().flatten() for weight in model.parameters()]))
    for other in weights[1:]:
        torch.testing.assert_close(other, weights[0], rtol=0, atol=2e-4)


def test_a_training_takes_its_examples_in_this_order(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs = []
    ordered = StepOrder.__iter__
    monkeypatch.setattr(StepOrder, "__iter__", lambda self: epochs.append(self.epoch) or ordered(self))
    shape = {"batch_size": 4, "micro_batch_size": 2, "max_length": 128, "save_minutes": 0.0}
    train_sft(tiny_model, tmp_path / "out", [_chat(text) for text in ANSWERS], SFTOptions(1e-3, epochs=2, **shape), 0)
    assert epochs == [0, 1]
    grouped = SFTOptions(1e-3, group_by_length=True, **shape | {"micro_batch_size": 4})
    train_sft(tiny_model, tmp_path / "grouped", [_chat(text) for text in ANSWERS], grouped, 0)
    assert epochs == [0, 1, 0]


def _chat(answer: str) -> list[dict[str, str]]:
    return [*messages_of(f"say {len(answer)}"), {"role": "assistant", "content": answer}]


def _pair(answer: str) -> Pair:
    chat = _chat(answer)
    return Pair(prompt=chat[:1], chosen=chat[1:], rejected=[{"role": "assistant", "content": "nothing"}], prompt_id="p")
