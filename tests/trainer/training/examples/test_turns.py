"""The tokens of a conversation that are learnt, against lists made by hand."""

from pathlib import Path
from typing import Any

import pytest

from console.errors import InputError
from records.rows import Chat
from trainer.sft.options import SFTOptions
from trainer.sft.train import train_sft
from trainer.training.examples.turns import example_of

SMOLLM2 = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\n"
    "You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SYSTEM = "system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face"
REWRITING = {
    "drops the thoughts of earlier turns": "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] if "
    "loop.last or '</think>' not in m['content'] else m['content'].split('</think>')[1] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
    "opens a thought only where it asks": "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n<think>{% endif %}",
    "ends only the last turn": "{% for m in messages %}{{ m['content'] }}{% if loop.last %}<|im_end|>{% endif %}"
    "{% endfor %}",
}


def turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


CHAT = [turn("user", "a b"), turn("assistant", "<think>x</think>one"), turn("user", "c"), turn("assistant", "two 2")]


@pytest.fixture
def tokenizer(tiny_model: Path) -> Any:
    from transformers import AutoTokenizer

    loaded = AutoTokenizer.from_pretrained(tiny_model)
    loaded.chat_template = SMOLLM2
    return loaded


def by_hand(tokenizer: Any, *turns: tuple[str, bool]) -> tuple[list[int], list[int]]:
    """Return tokens and labels of turns: the assistant's text, its end and the line break after it are learnt."""
    start, end = tokenizer.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>"])
    [newline] = tokenizer("\n", add_special_tokens=False)["input_ids"]
    tokens: list[int] = []
    labels: list[int] = []
    for text, learnt in turns:
        role, content = text.split("\n", 1)
        opening = [start, *tokenizer(f"{role}\n", add_special_tokens=False)["input_ids"]]
        rest = [*tokenizer(content, add_special_tokens=False)["input_ids"], end, newline]
        tokens += opening + rest
        labels += [-100] * len(opening) + (rest if learnt else [-100] * len(rest))
    return tokens, labels


@pytest.mark.parametrize("unlearnt", [(), (2,)])
def test_all_turns_of_the_assistant_are_learnt_with_their_ends(tokenizer: Any, unlearnt: tuple[int, ...]) -> None:
    row = example_of(Chat(CHAT, unlearnt=unlearnt), tokenizer, "all")
    first = ("assistant\n<think>x</think>one", 2 not in unlearnt)
    rest = ("user\nc", False), ("assistant\ntwo 2", True)
    assert (row["input_ids"], row["labels"]) == by_hand(tokenizer, (SYSTEM, False), ("user\na b", False), first, *rest)


def test_the_last_turn_is_learnt_alike_by_either_setting(tokenizer: Any, tiny_model: Path, tmp_path: Path) -> None:
    options = {"batch_size": 2, "micro_batch_size": 2, "learning_rate": 1e-3}
    chats = [[turn("user", "a"), turn("assistant", "one")], [turn("user", "b"), turn("assistant", "two 2")]]
    for loss_on in ("last", "all"):
        train_sft(tiny_model, tmp_path / loss_on, chats, SFTOptions(**options, loss_on=loss_on), seed=0)  # type: ignore[arg-type]  # mypy sees one type for all values
    weights = [(tmp_path / loss_on / "model.safetensors").read_bytes() for loss_on in ("last", "all")]
    assert weights[0] == weights[1]


def test_the_loss_is_the_mean_over_the_tokens_of_all_turns(tiny_model: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    shape = {"batch_size": 1, "micro_batch_size": 1, "learning_rate": 1e-3}
    trained = train_sft(tiny_model, tmp_path / "a", [CHAT], SFTOptions(**shape, loss_on="all"), seed=0)  # type: ignore[arg-type]  # mypy sees one type for all values
    row = example_of(CHAT, AutoTokenizer.from_pretrained(tiny_model), "all")
    with torch.inference_mode():
        logprobs = AutoModelForCausalLM.from_pretrained(tiny_model)(torch.tensor([row["input_ids"]])).logits[0]
    nll = [-logprobs.log_softmax(-1)[n - 1, label] for n, label in enumerate(row["labels"]) if label != -100]
    assert trained.loss == pytest.approx(float(sum(nll)) / len(nll), rel=1e-5)


@pytest.mark.parametrize("name", REWRITING)
def test_a_template_whose_turns_are_no_prefix_of_one_another_is_refused(tokenizer: Any, name: str) -> None:
    tokenizer.chat_template = REWRITING[name]
    with pytest.raises(InputError, match=r"conversation 7: .* writes turn \d differently .* use --loss-on last"):
        example_of(CHAT, tokenizer, "all", 7)
    assert example_of(CHAT, tokenizer, "last", 7)["labels"][-1] != -100
