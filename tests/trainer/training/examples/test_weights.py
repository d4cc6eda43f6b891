"""A conversation of weight 2 counts like the same twice, and weights are read from files or named as wrong."""

import json
from pathlib import Path
from typing import Any

import pytest

from records.files import BadRows
from records.rows import Chat
from records.shapes import read_chats, read_pairs
from tests.trainer.training.test_training import likelihood
from trainer.ift.options import IFTOptions
from trainer.ift.trainer import IFTTrainer, train_ift
from trainer.sft.options import SFTOptions
from trainer.sft.train import train_sft
from trainer.training.examples.gathering import PREPARED, gather
from trainer.training.examples.turns import example_of, examples_of
from trainer.training.examples.weights import WeightedTrainer

TURNS = [
    [{"role": "user", "content": f"say {n}"}, {"role": "assistant", "content": f"point {n} " * (1 + 2 * n)}]
    for n in range(2)
]
WEIGHTED, TWICE = [Chat(TURNS[0], 2.0), Chat(TURNS[1])], [TURNS[0], *TURNS]
SHAPE: dict[str, Any] = {"batch_size": 4, "learning_rate": 1e-3}


def gradients(parent: Path, out: Path, chats: Any, options: Any = None) -> tuple[float, list[Any]]:
    """Return the loss of all chats in one batch, and the gradient of each weight."""
    from trl import SFTConfig

    from trainer.training.fit import load_policy, trainer_settings

    model, tokenizer = load_policy(parent)
    shape = SFTOptions(batch_size=4, micro_batch_size=4)
    data = gather(tokenizer, examples_of(chats, tokenizer, "all"), shape, out / "model", 0, "SFT").learnt
    args = SFTConfig(**trainer_settings(shape, out, 0), dataset_kwargs=PREPARED)
    shared = {"args": args, "train_dataset": data, "processing_class": tokenizer}
    trainer = IFTTrainer(model, options=options, **shared) if options else WeightedTrainer(model, **shared)
    loss = trainer.compute_loss(model, next(iter(trainer.get_train_dataloader())))
    loss.backward()
    return loss.item(), [weight.grad.clone() for weight in model.parameters()]


OFF = IFTOptions(max_lambda=0.0, decay=0.0)


@pytest.mark.parametrize(
    "options",
    [None, OFF, IFTOptions(average="answers"), IFTOptions(variant="algorithm", average="answers"), IFTOptions()],
)
def test_a_weight_of_2_gives_the_gradient_of_the_example_twice(tiny_model: Path, tmp_path: Path, options: Any) -> None:
    import torch

    loss, weighted = gradients(tiny_model, tmp_path, WEIGHTED, options)
    same, twice = gradients(tiny_model, tmp_path, TWICE, options)
    plain, other = gradients(tiny_model, tmp_path, TURNS, options)
    assert loss == pytest.approx(same, rel=1e-5) and loss != pytest.approx(plain, rel=1e-3)
    for one, two in zip(weighted, twice, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=2e-5)
    assert any(not torch.allclose(one, two, rtol=1e-2) for one, two in zip(weighted, other, strict=True))


@pytest.mark.parametrize("micro_batch_size", [1, 2])
def test_the_loss_is_the_weighted_mean_over_tokens(tiny_model: Path, tmp_path: Path, micro_batch_size: int) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    options = SFTOptions(**SHAPE, micro_batch_size=micro_batch_size)
    trained = train_sft(tiny_model, tmp_path / "a", WEIGHTED, options, seed=0)
    losses = [-likelihood(tiny_model, chat) for chat in TURNS]
    n_tokens = [sum(label != -100 for label in example_of(chat, tokenizer, "all")["labels"]) for chat in TURNS]
    by_hand = (2 * losses[0] + losses[1]) / (2 * n_tokens[0] + n_tokens[1])
    assert trained.loss == pytest.approx(by_hand, rel=1e-5)
    ift = IFTOptions(**SHAPE, micro_batch_size=micro_batch_size, max_lambda=0.0, decay=0.0, epochs=1)
    assert train_ift(tiny_model, tmp_path / "b", WEIGHTED, ift, seed=0).loss == pytest.approx(by_hand, rel=1e-5)


def test_equal_weights_change_nothing(tiny_model: Path, tmp_path: Path) -> None:
    for name, chats in {"plain": TURNS, "equal": [Chat(chat, 3.0) for chat in TURNS]}.items():
        train_sft(tiny_model, tmp_path / name, chats, SFTOptions(**SHAPE), seed=0)
    plain, equal = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("plain", "equal"))
    assert plain == equal


def test_weights_are_read_from_files_and_named_if_they_are_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"prompt": "Q", "completion": "A"} | ({} if weight is None else {"weight": weight}) for weight in WEIGHTS]
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    bad = BadRows()
    assert [chat.weight for chat in read_chats(tmp_path / "x.jsonl", bad)] == [1.0, 0.5, 2.0]
    told = capsys.readouterr().err
    assert bad.n_bad == 3 and "x.jsonl:4: 'weight' must be above 0, found 0" in told
    assert "x.jsonl:5: 'weight' must be above 0, found -1" in told and "x.jsonl:6: 'weight' must be a number" in told


WEIGHTS: list[object] = [None, 0.5, "2", 0, -1, "much"]


def test_a_negative_weight_of_a_pair_is_named_with_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pair = {"prompt": "Q", "chosen": "A", "rejected": "B"}
    rows = [pair | {"weight": weight} for weight in (0, 2, -1)]
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert [row.weight for row in read_pairs(tmp_path / "x.jsonl", BadRows())] == [0.0, 2.0]
    assert "x.jsonl:3: 'weight' must be 0 or more, found -1" in capsys.readouterr().err


def test_a_written_conversation_is_read_again_with_its_weight_and_its_unlearnt_turns(tmp_path: Path) -> None:
    chat = Chat([*TURNS[0], *TURNS[1], *TURNS[0]], 0.5, {2})
    (tmp_path / "x.jsonl").write_text(json.dumps(chat.record()) + "\n")
    [read] = read_chats(tmp_path / "x.jsonl", BadRows())
    assert (read, read.weight, read.unlearnt) == (chat, 0.5, {2})
