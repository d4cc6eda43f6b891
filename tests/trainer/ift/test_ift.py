from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from console.errors import InputError, TrainingError
from tests.tiny import save_tiny_model
from tests.trainer.training.test_training import likelihood
from trainer.ift.fusion import Fusion, fused_embeddings, predictions
from trainer.ift.options import IFTOptions
from trainer.ift.trainer import IFTTrainer, lambda_at, train_ift
from trainer.sft.options import SFTOptions
from trainer.sft.train import train_sft
from trainer.training.examples.turns import example_of

LAMBDA, DECAY = 0.4, 0.9
OPTIONS = IFTOptions(
    learning_rate=3e-3, epochs=1, batch_size=2, micro_batch_size=2, max_lambda=LAMBDA, decay=DECAY, warmup_share=0
)
OFF = replace(OPTIONS, max_lambda=0.0, decay=0.0)


def turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


CHATS = [[turn("user", f"say {n}"), turn("assistant", f"point {n} " * (1 + n % 3))] for n in range(6)]
LONG = [turn("user", "a"), turn("assistant", "first one"), turn("user", "b"), turn("assistant", "second one")]


@pytest.fixture(scope="module")
def untied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose head is not its table of embeddings."""
    from safetensors.torch import load_file, save_file
    from transformers import AutoModelForCausalLM

    folder = save_tiny_model(tmp_path_factory.mktemp("models") / "untied")
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.config.tie_word_embeddings = False
    head = torch.randn(model.lm_head.weight.shape, generator=torch.Generator().manual_seed(1)) * 0.3
    model.config.save_pretrained(folder)
    weights = load_file(folder / "model.safetensors") | {"lm_head.weight": head}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def weights_of(folder: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    found: dict[str, Tensor] = load_file(folder / "model.safetensors")
    return found


def same(first: Path, second: Path) -> bool:
    return (first / "model.safetensors").read_bytes() == (second / "model.safetensors").read_bytes()


def make_trainer(parent: Path, out: Path, chats: Any, options: IFTOptions, **more: Any) -> IFTTrainer:
    from datasets import Dataset
    from trl import SFTConfig

    from trainer.training.fit import load_policy, trainer_settings

    model, tokenizer = load_policy(parent)
    data = Dataset.from_list([example_of(chat, tokenizer, options.loss_on) for chat in chats])
    args = SFTConfig(**trainer_settings(options, out, 0), completion_only_loss=True)
    return IFTTrainer(model, options=options, args=args, train_dataset=data, processing_class=tokenizer, **more)


def first_batch(trainer: IFTTrainer) -> dict[str, Tensor]:
    return next(iter(trainer.get_train_dataloader()))  # type: ignore[no-any-return]


def by_two_passes(model: Any, batch: dict[str, Tensor], options: IFTOptions) -> Tensor:
    """Return the loss from whole logits in float32, step by step as the authors' program is described."""
    ids, labels, seen = batch["input_ids"], batch["labels"], batch["attention_mask"]
    table = model.get_input_embeddings().weight.detach()
    with torch.no_grad():
        guess = model(inputs_embeds=table[ids], attention_mask=seen).logits.argmax(-1)
    guess_in = torch.cat([ids[:, :1], guess[:, :-1]], dim=1)
    guess_in = torch.where(labels == -100, ids, guess_in)
    lambda_ = options.max_lambda
    embeddings = (1 - lambda_) * table[ids] + lambda_ * table[guess_in]
    logprobs = model(inputs_embeds=embeddings, attention_mask=seen).logits[:, :-1].log_softmax(-1)
    rows, n_targets = [], 0
    for logprobs_TV, labels_T in zip(logprobs, labels[:, 1:], strict=True):
        targets = [t for t in range(len(labels_T)) if labels_T[t] != -100]
        n_targets += len(targets)
        losses = {t: -logprobs_TV[t, labels_T[t]] for t in targets}
        sums, following = {}, torch.zeros(())
        for t in reversed(range(len(labels_T))):
            following = losses.get(t, torch.zeros(())) + options.decay * following
            sums[t] = following
        total = sum(sums[t] for t in targets)
        rows.append((sum(losses[t] * sums[t] * len(targets) / total for t in targets), len(targets)))
    if options.average == "answers":
        return torch.stack([row / n for row, n in rows]).mean()
    return torch.stack([row for row, _ in rows]).sum() / n_targets


@pytest.mark.parametrize("average", ["tokens", "answers"])
@pytest.mark.parametrize("turns", ["last", "all"])
@pytest.mark.parametrize("kind", ["tied", "untied"])
def test_a_step_is_that_of_two_passes_with_whole_logits(
    tiny_model: Path, untied: Path, tmp_path: Path, average: Any, turns: Any, kind: str
) -> None:
    options = replace(OPTIONS, average=average, loss_on=turns)
    parent = tiny_model if kind == "tied" else untied
    trainer = make_trainer(parent, tmp_path, [LONG, CHATS[2]], options)
    batch = first_batch(trainer)
    expected = by_two_passes(trainer.model, batch, options)
    expected.backward()
    gradients = {name: one.grad.clone() for name, one in trainer.model.named_parameters() if one.grad is not None}
    trainer.model.zero_grad()
    found = trainer.compute_loss(trainer.model, dict(batch))
    found.backward()
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    for name, one in trainer.model.named_parameters():
        assert (one.grad is None) == (name not in gradients), name
        assert one.grad is None or torch.allclose(one.grad, gradients[name], atol=1e-5), name


def test_without_fusion_and_propagation_it_is_sft(tiny_model: Path, tmp_path: Path) -> None:
    settings = SFTOptions(learning_rate=3e-3, epochs=1, batch_size=4, micro_batch_size=2, warmup_share=0)
    theirs = train_sft(tiny_model, tmp_path / "sft", CHATS, settings, seed=3)
    ours = train_ift(tiny_model, tmp_path / "ift", CHATS, replace(OFF, batch_size=4), seed=3)
    assert ours.loss == theirs.loss and ours.n_steps == theirs.n_steps == 2
    assert same(tmp_path / "sft", tmp_path / "ift") and not same(tmp_path / "ift", tiny_model)
    other = train_ift(tiny_model, tmp_path / "on", CHATS, replace(OPTIONS, batch_size=4), seed=3)
    assert other.loss != theirs.loss


def test_it_makes_its_answers_likelier_and_repeats_itself(tiny_model: Path, tmp_path: Path) -> None:
    options = replace(OPTIONS, epochs=4, prediction="sampled", lambda_noise="normal", optim="rmsprop")
    options = replace(options, learning_rate=1e-3)
    trained = train_ift(tiny_model, tmp_path / "a", CHATS, options, seed=0)
    assert trained.n_examples == 6 and trained.n_steps == 12
    assert likelihood(tmp_path / "a", CHATS[0]) > likelihood(tiny_model, CHATS[0]) + 1
    assert trained.metrics["ift/nll"] > 0 and 0 <= trained.metrics["ift/lambda"] <= 1
    train_ift(tiny_model, tmp_path / "b", CHATS, options, seed=0)
    train_ift(tiny_model, tmp_path / "c", CHATS, options, seed=1)
    assert same(tmp_path / "a", tmp_path / "b") and not same(tmp_path / "a", tmp_path / "c")


def test_accumulated_answers_are_averaged_as_one_batch(tiny_model: Path, tmp_path: Path) -> None:
    options = replace(OPTIONS, average="answers", batch_size=4)
    whole = train_ift(tiny_model, tmp_path / "a", CHATS[:4], replace(options, micro_batch_size=4), seed=0)
    parts = train_ift(tiny_model, tmp_path / "b", CHATS[:4], replace(options, micro_batch_size=1), seed=0)
    assert parts.loss == pytest.approx(whole.loss, rel=1e-5)


def test_a_copied_table_gives_the_same_model_and_neither_learns_its_embeddings(untied: Path, tmp_path: Path) -> None:
    options = replace(OPTIONS, epochs=2)
    train_ift(untied, tmp_path / "live", CHATS, options, seed=0)
    train_ift(untied, tmp_path / "copy", CHATS, replace(options, embeddings="copy"), seed=0)
    assert same(tmp_path / "live", tmp_path / "copy")
    before, after = weights_of(untied), weights_of(tmp_path / "live")
    name = "model.embed_tokens.weight"
    assert torch.equal(before[name], after[name]) and not torch.equal(before["lm_head.weight"], after["lm_head.weight"])


def test_a_copied_table_follows_a_tied_head(tiny_model: Path, tmp_path: Path) -> None:
    options = replace(OPTIONS, epochs=2)
    train_ift(tiny_model, tmp_path / "live", CHATS, options, seed=0)
    train_ift(tiny_model, tmp_path / "copy", CHATS, replace(options, embeddings="copy"), seed=0)
    assert same(tmp_path / "live", tmp_path / "copy") and not same(tmp_path / "live", tiny_model)


def test_only_targets_are_fused_with_the_prediction_of_themselves(tiny_model: Path, tmp_path: Path) -> None:
    trainer = make_trainer(tiny_model, tmp_path, [LONG], replace(OPTIONS, loss_on="all"))
    batch = first_batch(trainer)
    ids, labels = batch["input_ids"], batch["labels"]
    table = trainer.base.get_input_embeddings().weight.detach()
    found = fused_embeddings(trainer.base, trainer.fusion, 1.0, **batch)
    guess = trainer.base(input_ids=ids).logits.argmax(-1)
    is_target = labels[0] != -100
    assert 0 < is_target.sum() < len(is_target) and torch.equal(found[0][~is_target], table[ids[0][~is_target]])
    places = is_target.nonzero()[:, 0]
    assert torch.equal(found[0][places], table[guess[0][places - 1]])


def test_the_head_never_gives_whole_logits(tiny_model: Path, tmp_path: Path) -> None:
    trainer = make_trainer(tiny_model, tmp_path, CHATS, OPTIONS)

    def called(*_: Any) -> None:
        raise AssertionError("the head was asked for logits")

    trainer.base.lm_head.register_forward_hook(called)
    assert trainer.compute_loss(trainer.model, dict(first_batch(trainer))).item() > 0


@pytest.mark.parametrize("words", [7, 100, 10_000])
def test_predictions_by_tiles_are_those_of_the_whole_vocabulary(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, words: int
) -> None:
    from transformers import AutoModelForCausalLM

    monkeypatch.setattr("trainer.ift.fusion.WORDS", words)
    monkeypatch.setattr("trainer.ift.fusion.TOKENS", 3)
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    hidden = torch.randn(10, 32, generator=torch.Generator().manual_seed(0))
    order = model.lm_head(hidden).argsort(-1, descending=True)
    fusion = Fusion("greedy", 0.7, torch.Generator())
    assert torch.equal(predictions(hidden, model, fusion), order[:, 0])
    assert torch.equal(predictions(hidden, model, replace(fusion, prediction="second")), order[:, 1])
    assert predictions(hidden[:0], model, fusion).shape == (0,)


def test_a_drawn_prediction_has_the_models_own_distribution_at_its_temperature(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoModelForCausalLM

    monkeypatch.setattr("trainer.ift.fusion.WORDS", 100)
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    model.config.final_logit_softcapping, model.config.logits_scaling = 2.0, 0.5
    hidden = torch.randn(1, 32, generator=torch.Generator().manual_seed(0))
    probs = (2.0 * torch.tanh(model.lm_head(hidden).detach() / 0.5 / 2.0) / 0.7).softmax(-1)[0]
    fusion = Fusion("sampled", 0.7, torch.Generator().manual_seed(0))
    drawn = predictions(hidden.expand(10_000, -1), model, fusion)
    shares = drawn.bincount(minlength=len(probs)) / len(drawn)
    assert float((shares - probs).abs().sum()) < 0.25 < float((shares - 1 / len(probs)).abs().sum())


def test_all_turns_of_the_assistant_are_learnt_and_no_other(tiny_model: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    row = example_of(LONG, tokenizer, "all")
    learnt = tokenizer.decode([label for label in row["labels"] if label != -100])
    assert learnt == "first one<|im_end|>\nsecond one<|im_end|>\n"
    assert row["input_ids"] == tokenizer.apply_chat_template(LONG, return_dict=False)


def test_a_single_turn_is_the_same_row_either_way(tiny_model: Path, tmp_path: Path) -> None:
    ours = make_trainer(tiny_model, tmp_path, CHATS, replace(OPTIONS, loss_on="all")).train_dataset
    theirs = make_trainer(tiny_model, tmp_path, CHATS, OPTIONS).train_dataset
    for name in ("input_ids", "labels"):
        assert ours[name][:] == theirs[name][:]


def test_a_template_that_rewrites_earlier_turns_is_refused(tiny_model: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.chat_template = "{% for m in messages %}{% if loop.last %}!{% endif %}{{ m['content'] }}{% endfor %}"
    with pytest.raises(InputError, match="use --loss-on last"):
        example_of(LONG, tokenizer, "all")


def test_lambda_rises_and_varies_as_asked() -> None:
    rising = replace(OPTIONS, lambda_schedule="linear", min_lambda=0.1, max_lambda=0.5)
    assert [lambda_at(rising, step, 5, 0) for step in range(5)] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])
    noisy = replace(OPTIONS, max_lambda=0.2, lambda_noise="normal")
    drawn = torch.tensor([lambda_at(noisy, step, 4000, 0) for step in range(4000)])
    assert lambda_at(noisy, 7, 4000, 0) == lambda_at(noisy, 7, 4000, 0) != lambda_at(noisy, 7, 4000, 1)
    # 0.2 (1 + z / 2), 0 below z = -2: the mean of a normal distribution cut there is 0.2 + 0.1 * 0.00849
    assert float(drawn.mean()) == pytest.approx(0.2008, abs=0.005) and float(drawn.min()) == 0
    assert float(drawn.std()) == pytest.approx(0.1, abs=0.005)
    assert lambda_at(replace(noisy, max_lambda=1.0), 1, 2, 3) <= 1


def test_it_goes_with_adapters(tiny_model: Path, tmp_path: Path) -> None:
    from peft import LoraConfig

    adapters = LoraConfig(r=2, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    trainer = make_trainer(tiny_model, tmp_path, CHATS, OPTIONS, peft_config=adapters)
    loss = trainer.compute_loss(trainer.model, dict(first_batch(trainer)))
    loss.backward()
    plain = make_trainer(tiny_model, tmp_path, CHATS, OPTIONS)
    assert loss.item() == pytest.approx(plain.compute_loss(plain.model, dict(first_batch(plain))).item(), rel=1e-5)
    learning = [name for name, one in trainer.model.named_parameters() if one.grad is not None]
    assert learning and all("lora_" in name for name in learning)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (replace(OPTIONS, decay=1.5), r"decay must be in \[0, 1\], not 1.5"),
        (replace(OPTIONS, max_lambda=-0.2), r"max_lambda must be in \[0, 1\], not -0.2"),
        (replace(OPTIONS, lambda_schedule="linear", min_lambda=0.5), r"--min-lambda must be in .*not 0.5"),
        (replace(OPTIONS, temperature=0.0), "temperature must be above 0, not 0"),
        (replace(OPTIONS, batch_size=3), r"--batch-size \(3\) must be a multiple of --micro-batch-size"),
    ],
)
def test_settings_out_of_range_are_refused_before_a_model_is_loaded(
    options: IFTOptions, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        train_ift(tmp_path / "no model", tmp_path / "a", CHATS, options, seed=0)


def test_what_cannot_be_learnt_from_is_refused_before_a_model_is_loaded(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.ift.trainer.load_policy", lambda _: pytest.fail("a model was loaded"))

    def train(chats: Any, **settings: Any) -> None:
        train_ift(tiny_model, tmp_path / "a", chats, replace(OPTIONS, **settings), seed=0)

    with pytest.raises(TrainingError, match="no conversation"):
        train([])
    with pytest.raises(InputError, match="conversation 2 of 2 must end with an assistant turn"):
        train([CHATS[0], LONG[:3]])
    with pytest.raises(InputError, match="conversation 1 of 1 has no assistant turn"):
        train([LONG[:1]], loss_on="all")
    too_long = [turn("user", "long"), turn("assistant", "word " * 2000)]
    message = r"--max-length must be in \[1, 2048\], the context of tiny, not 5000: conversation 2 of 2 has \d+ tokens"
    with pytest.raises(InputError, match=message):
        train([CHATS[0], too_long], max_length=5000)
