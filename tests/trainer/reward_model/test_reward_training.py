import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from console.command import parse
from console.errors import InputError, TrainingError
from engines.reward_model import RewardModel, chat_tokens
from records import Pair, messages_of
from records.store import write_rows
from trainer.reward_model.__main__ import Config, main
from trainer.reward_model.accuracy import figures, measure
from trainer.reward_model.data import held_out_split, set_padding
from trainer.reward_model.options import RewardOptions
from trainer.reward_model.train import load_classifier, train_reward_model

OPTIONS = RewardOptions(learning_rate=3e-3, batch_size=4, micro_batch_size=4, warmup_share=0.0)
WORDS = ("apple", "river", "stone", "cloud", "seven", "north", "paper", "green")


def pair(prompt: str, chosen: str, rejected: str, **values: Any) -> Pair:
    sides = {
        name: [{"role": "assistant", "content": text}] for name, text in (("chosen", chosen), ("rejected", rejected))
    }
    return Pair(prompt=messages_of(prompt), prompt_id=prompt, **sides, **values)


def separable(n: int, start: int = 0) -> list[Pair]:
    """Return pairs whose chosen answer says "good" where the rejected one says "bad", in answers of any length."""
    return [
        pair(f"Question {k}?", *(f"{WORDS[k % 8]} is {word} {WORDS[k % 7]} " * (1 + k % 3) for word in ("good", "bad")))
        for k in range(start, start + n)
    ]


FOUR = [
    pair("Zero?", "A short answer.", "A long answer that goes on and on.", margin=1.5, weight=2.0),
    pair("One?", "One that is very much longer than the other.", "Brief.", margin=0.0, weight=0.5),
    pair("Two?", "Yes.", "No, not at all.", margin=0.25, weight=0.0),
    pair("Three?", "It is seven.", "It is eight.", margin=3.0, weight=1.5),
]
PLAIN = [msgspec.structs.replace(one, weight=1.0) for one in FOUR]


def saved(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


# learning


def test_it_learns_what_is_preferred_and_knows_it_on_other_prompts(tiny_model: Path, tmp_path: Path) -> None:
    trained = train_reward_model(tiny_model, tmp_path / "m", separable(48), replace(OPTIONS, epochs=2), 0)
    assert trained.n_examples == 48 and trained.n_steps == 24 and trained.loss < math.log(2)
    model = RewardModel.load(tmp_path / "m", "m")
    measured = measure(model, separable(40, start=1000), 0)
    assert measured.accuracy.value == 1.0 and measured.accuracy.n == 40 and measured.n_unscored == 0
    assert model.tokenizer.padding_side == "right" and model.model.config.pad_token_id == model.tokenizer.pad_token_id


def test_it_repeats_itself_and_another_seed_is_another_model(tiny_model: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        train_reward_model(tiny_model, tmp_path / name, separable(12), OPTIONS, seed)
    assert saved(tmp_path / "a") == saved(tmp_path / "b") != saved(tmp_path / "c")


def test_plain_settings_train_as_the_stock_trainer_does(tiny_model: Path, tmp_path: Path) -> None:
    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import RewardConfig, RewardTrainer

    from trainer.training.fit import fit, trainer_settings

    train_reward_model(tiny_model, tmp_path / "ours", separable(12), OPTIONS, 3)
    rows = [{name: getattr(one, name) for name in ("prompt", "chosen", "rejected")} for one in separable(12)]
    stock = RewardTrainer(
        load_classifier(tiny_model, "zero", 3),
        args=RewardConfig(**trainer_settings(OPTIONS, tmp_path / "work", 3)),
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(tiny_model),
    )
    fit(stock, tmp_path / "stock", "stock")
    assert saved(tmp_path / "ours") == saved(tmp_path / "stock")


# the loss


def gaps(tiny_model: Path) -> np.ndarray[Any, Any]:
    """Return r(chosen) - r(rejected) of each of FOUR under a random head, in float64 and a row at a time."""
    from transformers import AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(tiny_model), load_classifier(tiny_model, "random", 0).double()
    found = []
    for one in FOUR:
        chats = [[*one.prompt, *answer] for answer in (one.chosen, one.rejected)]
        rows = [tokenizer.apply_chat_template(chat, return_tensors="pt", return_dict=True) for chat in chats]
        with torch.inference_mode():
            hidden = [model.model(input_ids=row["input_ids"]).last_hidden_state[0, -1] for row in rows]
            found.append(float((hidden[0] - hidden[1]) @ model.score.weight[0]))
    return np.array(found)


def first_loss(tiny_model: Path, out: Path, pairs: Sequence[Pair], **changes: Any) -> float:
    trained = train_reward_model(tiny_model, out, pairs, replace(OPTIONS, head="random", **changes), 0)
    assert trained.n_steps == 1
    return trained.loss


def test_the_loss_is_its_formula(tiny_model: Path, tmp_path: Path) -> None:
    gap, w, m = gaps(tiny_model), np.array([one.weight for one in FOUR]), np.array([one.margin for one in FOUR])
    assert np.ptp(gap) > 0.1 and w.mean() == 1.0
    tenfold = [msgspec.structs.replace(one, weight=10 * one.weight) for one in FOUR]  # over their mean the same
    for name, pairs, margins, expected in (
        ("plain", PLAIN, False, np.log1p(np.exp(-gap)).mean()),
        ("margins", PLAIN, True, np.log1p(np.exp(m - gap)).mean()),
        ("weights", tenfold, False, (w * np.log1p(np.exp(-gap))).mean()),
        ("both", FOUR, True, (w * np.log1p(np.exp(m - gap))).mean()),
    ):
        assert first_loss(tiny_model, tmp_path / name, pairs, margins=margins) == pytest.approx(expected, abs=1e-4)


def test_the_head_starts_from_zeros_or_from_numbers_of_the_seed(tiny_model: Path, tmp_path: Path) -> None:
    assert not load_classifier(tiny_model, "zero", 0).score.weight.any()
    heads = [load_classifier(tiny_model, "random", seed).score.weight for seed in (0, 0, 1)]
    assert torch.equal(heads[0], heads[1]) and not torch.equal(heads[0], heads[2])
    assert 0.1 < float(heads[0].detach().abs().max()) <= 32**-0.5 and heads[0].shape == (1, 32)
    trained = train_reward_model(tiny_model, tmp_path / "m", PLAIN, OPTIONS, 0)
    assert trained.loss == pytest.approx(math.log(2), abs=1e-6)


def test_a_reward_model_is_trained_on_from_its_own_head(tiny_model: Path, tmp_path: Path) -> None:
    train_reward_model(tiny_model, tmp_path / "a", separable(24), OPTIONS, 0)
    head = load_classifier(tmp_path / "a", "zero", 0).score.weight
    assert head.any()
    trained = train_reward_model(tmp_path / "a", tmp_path / "b", separable(24), OPTIONS, 0)
    assert trained.loss < 0.5


# what is left out


def test_pairs_that_say_nothing_are_left_out_and_counted(tiny_model: Path, tmp_path: Path, capsys: Any) -> None:
    useless = [
        pair("a", "the same", "the same"),
        pair("b", "an answer", " \n"),
        pair("c", "", "an answer"),
        pair("d", "short", "long " * 400),
    ]
    trained = train_reward_model(tiny_model, tmp_path / "m", [*useless, *PLAIN], OPTIONS, 0)
    assert trained.n_examples == 4
    said = capsys.readouterr().err
    assert "2 of 8 pairs left out: an answer is empty" in said
    assert "1 of 8 pairs left out: the chosen and the rejected answer are the same" in said
    assert "1 of 8 pairs left out: an answer is over max_length (512 tokens with its prompt)" in said
    train_reward_model(tiny_model, tmp_path / "n", PLAIN, OPTIONS, 0)
    assert saved(tmp_path / "m") == saved(tmp_path / "n")
    with pytest.raises(TrainingError, match="no preference pair to train on: an answer is empty"):
        train_reward_model(tiny_model, tmp_path / "o", useless[1:3], OPTIONS, 0)


def test_what_the_loss_needs_is_checked_before_a_model_is_loaded(tmp_path: Path) -> None:
    def train(pairs: Sequence[Pair], options: RewardOptions = OPTIONS) -> None:
        train_reward_model(tmp_path / "no model", tmp_path / "out", pairs, options, 0)

    with pytest.raises(TrainingError, match="no preference pair"):
        train([])
    with pytest.raises(InputError, match="0 or more"):
        train([msgspec.structs.replace(FOUR[0], weight=-1.0)])
    with pytest.raises(TrainingError, match="weight of every preference pair is 0"):
        train([msgspec.structs.replace(FOUR[0], weight=0.0)])
    for margin in (None, -0.5, math.inf):
        with pytest.raises(InputError, match=r"1 of 4 pairs have no margin of 0 or more.*--margins"):
            train([msgspec.structs.replace(FOUR[0], margin=margin), *FOUR[1:]], replace(OPTIONS, margins=True))
    with pytest.raises(InputError, match="learning_rate"):
        train(FOUR, replace(OPTIONS, learning_rate=0))


def test_a_loss_that_is_not_a_number_names_the_examples(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"at step \d+, of example \d+ of 12 .*try a lower learning rate"):
        train_reward_model(tiny_model, tmp_path / "m", separable(12), replace(OPTIONS, learning_rate=1e30, epochs=4), 0)
    assert not (tmp_path / "m").exists()


# padding


def with_tokenizer(source: Path, folder: Path, template: str, pad: str | None) -> Path:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(source)
    tokenizer.chat_template, tokenizer.pad_token = template, pad
    AutoModelForCausalLM.from_pretrained(source).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


CLOSING = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>{% endfor %}"


@pytest.mark.parametrize("pad", [None, "<|im_end|>"])
def test_rows_are_never_padded_with_the_token_that_closes_them(
    pad: str | None, tiny_model: Path, tmp_path: Path
) -> None:
    """With <|im_end|> for padding, as TRL has it where there is none, the reward is not read at the closing token."""
    parent = with_tokenizer(tiny_model, tmp_path / "parent", CLOSING, pad)
    train_reward_model(parent, tmp_path / "m", PLAIN, OPTIONS, 0)
    model = RewardModel.load(tmp_path / "m", "m")
    assert model.tokenizer.pad_token not in (None, "<|im_end|>")
    assert model.model.config.pad_token_id == model.tokenizer.pad_token_id
    ids = chat_tokens(model.tokenizer, "One?", "Yes.")
    assert model.tokenizer.decode(ids[-1]) == "<|im_end|>"
    with torch.inference_mode():
        hidden = model.model.model(input_ids=torch.tensor([ids])).last_hidden_state[0, -1]
    expected = float(hidden @ model.model.score.weight.detach()[0])
    assert model.score(["One?", "Two?"], ["Yes.", "No, " * 20])[0] == pytest.approx(expected, abs=1e-5)


def test_a_tokenizer_without_another_special_token_is_refused() -> None:
    class Tokenizer:
        pad_token = unk_token = None
        eos_token, all_special_tokens = "</s>", ["</s>"]

        def convert_tokens_to_ids(self, token: str) -> int:
            return 2

    with pytest.raises(InputError, match="add a pad token"):
        set_padding(Tokenizer(), [{"chosen_ids": [5, 2], "rejected_ids": [6, 2]}])


def test_a_parent_without_a_chat_template_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(tiny_model, tmp_path / "bare")
    (tmp_path / "bare" / "chat_template.jinja").unlink()
    with pytest.raises(InputError, match="no chat template"):
        train_reward_model(tmp_path / "bare", tmp_path / "m", PLAIN, OPTIONS, 0)


# held out


def test_pairs_of_a_prompt_are_on_one_side_whatever_their_order() -> None:
    pairs = [pair(f"Q {k % 20}", f"a {k}", f"b {k}") for k in range(60)]
    learnt, held_out = held_out_split(pairs, 0.25, 0)
    names = [{one.prompt_id for one in side} for side in (learnt, held_out)]
    assert (len(names[0]), len(names[1])) == (15, 5) and not names[0] & names[1] and len(learnt) == 45
    assert {one.prompt_id for one in held_out_split(pairs[::-1], 0.25, 0)[1]} == names[1]
    assert any({one.prompt_id for one in held_out_split(pairs, 0.25, seed)[1]} != names[1] for seed in (1, 2, 3))
    assert held_out_split(pairs, 0, 0) == (pairs, [])
    with pytest.raises(InputError, match="1 prompt: too few"):
        held_out_split([pair("Q", "a", "b"), pair(" q ", "c", "d")], 0.5, 0)
    with pytest.raises(InputError, match="--held-out-share must be in"):
        held_out_split(pairs, 1.0, 0)


class Fixed:
    """Stands for a reward model whose rewards are what the answers say."""

    def __init__(self) -> None:
        self.unscored = Counter({"the response is empty": 1})

    def score(self, prompts: Sequence[Any], responses: Sequence[str]) -> list[float | None]:
        return [None if text == "none" else float(text) for text in responses]


def test_accuracy_and_calibration_by_hand(capsys: Any) -> None:
    margins = [3.0, 3.0, -3.0, 0.4, 0.0]
    pairs = [*(pair(f"Q {k}", str(m), "0") for k, m in enumerate(margins)), pair("Q", "none", "1")]
    measured = measure(Fixed(), pairs, 0)  # type: ignore[arg-type]
    assert measured.accuracy.value == pytest.approx(3.5 / 5) and measured.n_unscored == 1
    sure, little = 1 / (1 + math.exp(-3.0)), 1 / (1 + math.exp(-0.4))
    # bins of a twentieth from 0.5: {0.953 x 3}, {0.599}, {0.5}; in the last one half is right of 0.5
    expected = (3 * abs(2 / 3 - sure) + abs(1 - little) + 0) / 5
    assert measured.calibration_error.value == pytest.approx(expected)
    low, high = measured.accuracy.low, measured.accuracy.high
    assert low is not None and high is not None and low < 0.7 < high
    assert figures(measured)["held-out pairs"] == 5 and "1 held-out answers have no reward" in capsys.readouterr().err


def test_no_scored_pair_is_no_figure() -> None:
    row = figures(measure(Fixed(), [pair("Q", "none", "1")], 0))  # type: ignore[arg-type]
    assert row["accuracy"] is row["calibration error"] is None and row["unscored"] == 1


# the command


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    write_rows(tmp_path / "pairs.jsonl", separable(60))
    rows = [{"prompt": f"Task {n}.", "response": f"Answer {k}.", "model": "m"} for n in range(8) for k in range(2)]
    (tmp_path / "responses.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return tmp_path / "pairs.jsonl", tmp_path / "responses.jsonl"


def command(*argv: object) -> None:
    main(parse(Config, [str(word) for word in argv], "prog"))


def test_the_command_trains_measures_and_prints(
    files: tuple[Path, Path], tiny_model: Path, tmp_path: Path, capsys: Any
) -> None:
    pairs, samples = files
    settings = ("--learning-rate", 3e-3, "--batch-size", 4, "--held-out-share", 0.2, "--epochs", 2, "--json")
    out = tmp_path / "runs" / "m"
    command(pairs, "--model", tiny_model, "--out", out, *settings)
    [row] = json.loads(capsys.readouterr().out)
    assert row["examples"] == 48 and row["held-out pairs"] == 12 and row["accuracy"] == 1.0 and row["unscored"] == 0
    assert row["model"] == str(out) and 0 <= row["calibration error"] < 0.5
    joint = ("--limit", 20, "--samples", samples, "--bottleneck.objective", "mvi", "--bottleneck.z-dim", 8)
    command(pairs, "--model", tiny_model, "--out", tmp_path / "joint", *settings, *joint)
    [row] = json.loads(capsys.readouterr().out)
    assert {"mutual_information", "bound", "divergence", "accuracy"} <= row.keys()
    assert saved(tmp_path / "joint") != saved(out)
    with pytest.raises(InputError, match="exists; give another --out"):
        command(pairs, "--model", tiny_model, "--out", out)


def test_a_dry_run_says_what_would_be_done(
    files: tuple[Path, Path], tiny_model: Path, tmp_path: Path, capsys: Any
) -> None:
    pairs, samples = files
    command(pairs, "--model", tiny_model, "--out", tmp_path / "m", "--samples", samples, "--dry-run")
    said = capsys.readouterr().out
    assert "on 54 pairs" in said and "8 view pairs" in said and "6 pairs of other prompts" in said
    assert not (tmp_path / "m").exists()


def test_bad_flags_are_one_clear_error(files: tuple[Path, Path], tiny_model: Path, tmp_path: Path) -> None:
    pairs, _ = files
    for argv, message in (
        ((), "name a file of preference pairs"),
        ((pairs, "--bottleneck.weight", 0.1), "give them too"),
        ((pairs, "--held-out-share", 1.5), "--held-out-share must be in"),
        ((pairs, "--samples", pairs.with_name("one.jsonl")), "no prompt has two different answers"),
    ):
        pairs.with_name("one.jsonl").write_text('{"prompt": "p", "response": "r"}\n', encoding="utf-8")
        with pytest.raises(InputError, match=message):
            command(*argv, "--model", tiny_model, "--out", tmp_path / "m")
    assert not (tmp_path / "m").exists()
