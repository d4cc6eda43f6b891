"""Adapters: their gradients, their folders, and what is trained from them."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import trainer.dpo.train
import trainer.training.lora.adapter
from console.errors import InputError
from engines.adapters import BASE, SETTINGS, TENSORS, checked_base, recorded_base, weights_folder
from engines.local.transformers_engine import TransformersEngine
from engines.merging import load_model, whole, write_merged
from engines.models import checkpoint_dtype, model_digest, resolve_model
from engines.options import EngineOptions, open_engine
from engines.protocol import Request, Sampling
from records.rows import messages_of
from tests.tiny import save_in_bfloat16, save_tiny_model
from tests.trainer.training.test_resume import CHATS, N_STEPS, PAIRS, SHARED, killed_after, states
from trainer.dpo.options import DPOOptions
from trainer.dpo.train import train_dpo
from trainer.sft.options import SFTOptions
from trainer.sft.train import train_sft
from trainer.training.checkpoints import Checkpoints
from trainer.training.lora.adapter import load_base, with_adapter
from trainer.training.lora.folder import relinked
from trainer.training.options import LoraOptions
from trainer.training.outcome import Trained

LORA = LoraOptions(r=4, alpha=8)
IDS = torch.tensor([[1, 50, 60, 70, 80, 90, 100, 2]])
FILES = {SETTINGS, "adapter_model.safetensors", BASE, "manifest.json", "training.json"}


def sft(parent: Path, out: Path, lora: LoraOptions = LORA, **more: Any) -> Trained:
    return train_sft(parent, out, CHATS, SFTOptions(**SHARED | more, lora=lora), seed=1)


def dpo(parent: Path, out: Path, lora: LoraOptions = LORA, **more: Any) -> Trained:
    return train_dpo(parent, out, PAIRS, DPOOptions(**SHARED, lora=lora), seed=1, **more)


@pytest.fixture(scope="module")
def adapter(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("adapter") / "model"
    sft(tiny_model, out)
    return out


def logits(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        return model.eval()(IDS).logits  # type: ignore[no-any-return]


def logits_of(folder: Path) -> torch.Tensor:
    return logits(load_model(folder, torch.float32))


def by_hand(base: Path, model: Any) -> tuple[Any, dict[str, tuple[torch.Tensor, torch.Tensor]]]:
    """The whole model with W + alpha / r B A for each W, and the A and B of each by the name of W."""
    whole = load_model(base, torch.float32)
    parameters = dict(model.named_parameters())
    pairs = {}
    for name, weight in whole.named_parameters():
        place = f"base_model.model.{name.removesuffix('.weight')}"
        if f"{place}.lora_A.default.weight" in parameters:
            a_RI, b_OR = (parameters[f"{place}.lora_{side}.default.weight"] for side in "AB")
            pairs[name] = (a_RI, b_OR)
            weight.data += LORA.alpha / LORA.r * (b_OR @ a_RI).detach()
    return whole, pairs


def test_loss_and_gradients_are_those_of_the_whole_model_by_the_chain_rule(tiny_model: Path) -> None:
    model = with_adapter(load_base(tiny_model, LORA), tiny_model, LORA, seed=0)
    torch.manual_seed(0)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:  # zero at first, which would hide A's gradient
            parameter.data.normal_(std=0.1)
    whole, pairs = by_hand(tiny_model, model)
    assert len(pairs) == 14  # seven layers of each block, and neither embeddings nor output
    losses = [each(IDS, labels=IDS).loss for each in (model, whole)]
    torch.testing.assert_close(*losses)
    for loss in losses:
        loss.backward()
    scale, gradients = LORA.alpha / LORA.r, dict(whole.named_parameters())
    for name, (a_RI, b_OR) in pairs.items():
        gradient_OI = gradients[name].grad
        torch.testing.assert_close(a_RI.grad, scale * b_OR.T @ gradient_OI, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(b_OR.grad, scale * gradient_OI @ a_RI.T, rtol=1e-4, atol=1e-6)
    assert all(parameter.grad is None for name, parameter in model.named_parameters() if "lora_" not in name)


def test_a_trained_folder_is_small_and_loads_with_peft_and_with_transformers(adapter: Path, tiny_model: Path) -> None:
    from peft import AutoPeftModelForCausalLM
    from transformers import AutoModelForCausalLM, AutoTokenizer

    names = {path.name for path in adapter.iterdir()}
    assert names >= FILES and "model.safetensors" not in names and "README.md" not in names
    weights = (adapter / "adapter_model.safetensors").stat().st_size
    assert weights < (tiny_model / "model.safetensors").stat().st_size / 4
    assert AutoTokenizer.from_pretrained(adapter).get_vocab() == AutoTokenizer.from_pretrained(tiny_model).get_vocab()
    ours = logits_of(adapter)
    for kind in (AutoPeftModelForCausalLM, AutoModelForCausalLM):
        torch.testing.assert_close(logits(kind.from_pretrained(adapter)), ours, rtol=1e-4, atol=1e-4)
    assert (ours - logits_of(tiny_model)).abs().max() > 0.1  # it has learnt something


def test_a_training_repeats_itself_to_the_byte(adapter: Path, tiny_model: Path, tmp_path: Path) -> None:
    sft(tiny_model, tmp_path / "again")
    for name in (SETTINGS, "adapter_model.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (adapter / name).read_bytes()
    assert model_digest(tmp_path / "again") == model_digest(adapter)


def test_a_digest_tells_adapters_and_bases_apart_but_not_places(
    adapter: Path, tiny_model: Path, tmp_path: Path
) -> None:
    sft(tiny_model, tmp_path / "other", epochs=1)
    assert len({model_digest(folder) for folder in (adapter, tiny_model, tmp_path / "other")}) == 3
    shutil.copytree(adapter, tmp_path / "far" / "moved")
    shutil.copytree(tiny_model, tmp_path / "base")
    named(tmp_path / "far" / "moved", tmp_path / "base")
    assert model_digest(tmp_path / "far" / "moved") == model_digest(adapter)
    save_tiny_model(tmp_path / "base", seed=1)
    assert model_digest(tmp_path / "far" / "moved") != model_digest(adapter)


def named(adapter: Path, base: Path | str) -> None:
    """Name another base in an adapter's settings."""
    path = adapter / SETTINGS
    path.write_text(json.dumps(json.loads(path.read_text()) | {"base_model_name_or_path": str(base)}))


def test_a_folder_moved_with_its_base_finds_it(tmp_path: Path) -> None:
    base = save_tiny_model(tmp_path / "here" / "base")
    sft(base, tmp_path / "here" / "adapter", epochs=1)
    before = logits_of(tmp_path / "here" / "adapter")
    (tmp_path / "here").rename(tmp_path / "there")
    assert torch.equal(logits_of(tmp_path / "there" / "adapter"), before)


def test_an_adapter_that_is_put_elsewhere_alone_is_linked_from_its_new_place(tmp_path: Path) -> None:
    base = save_tiny_model(tmp_path / "base")
    sft(base, tmp_path / "deep" / "deeper" / "model", epochs=1)
    best = tmp_path / "deep" / "deeper" / "model"
    partial = tmp_path / "out" / "model.tmp"
    shutil.copytree(best, partial, copy_function=os.link)
    relinked(partial, tmp_path / "out" / "model")
    partial.rename(tmp_path / "out" / "model")
    link = recorded_base(tmp_path / "out" / "model")
    assert link is not None and link.path == "../../base"
    kept = recorded_base(best)
    assert kept is not None and kept.path == "../../../base", "a hard link shares its bytes"


def test_a_base_from_the_hub_is_named_by_its_id_and_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = save_tiny_model(tmp_path / "hub" / "models--maker--tiny" / "snapshots" / "c0ffee")
    sft(base, tmp_path / "adapter", epochs=1)
    settings = json.loads((tmp_path / "adapter" / SETTINGS).read_text())
    assert (settings["base_model_name_or_path"], settings["revision"]) == ("maker/tiny", "c0ffee")
    assert weights_folder(tmp_path / "adapter").samefile(base)
    (tmp_path / "adapter").rename(tmp_path / "hub" / "moved")  # its base is no longer at the recorded place
    asked: list[Any] = []

    def from_hub(*words: Any) -> Path:
        asked.append(words)
        return base

    monkeypatch.setattr("engines.adapters.from_hub", from_hub)
    assert weights_folder(tmp_path / "hub" / "moved") == base
    assert (asked[0][0], asked[0][-1]) == ("maker/tiny", "c0ffee")


def test_a_program_that_reads_no_adapters_gets_whole_weights_for_as_long_as_it_needs_them(
    adapter: Path, tiny_model: Path
) -> None:
    with whole(tiny_model) as folder:
        assert folder == tiny_model
    with whole(adapter) as folder:
        assert (folder / "config.json").exists() and not (folder / SETTINGS).exists()
        torch.testing.assert_close(logits_of(folder), logits_of(adapter))
    assert not folder.exists()


def test_an_adapter_without_a_tokenizer_speaks_with_that_of_its_base(adapter: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in (SETTINGS, "adapter_model.safetensors"):  # as PEFT itself saves one
        shutil.copy(adapter / name, bare / name)
    engine = open_engine(EngineOptions(model=str(bare), engine="transformers"))
    [completion] = engine.generate([Request(messages_of("Hello"), seed=0)], Sampling(4, 1.0))
    assert completion.error is None and completion.n_tokens


def test_a_base_that_changed_or_is_gone_is_one_line_that_says_so(tmp_path: Path) -> None:
    base = save_tiny_model(tmp_path / "base")
    sft(base, tmp_path / "adapter", epochs=1)
    save_tiny_model(base, seed=7)
    with pytest.raises(InputError, match=r"an adapter on another model than .*base: its base had the digest"):
        load_model(tmp_path / "adapter", torch.float32)
    shutil.rmtree(base)
    with pytest.raises(InputError, match=r"its base model .*base is gone; put it back, or name its new place in"):
        resolve_model(str(tmp_path / "adapter"))


def test_an_adapter_moved_with_its_base_finds_it_beside_another_model_in_the_old_place(tmp_path: Path) -> None:
    base = save_tiny_model(tmp_path / "old" / "base")
    sft(base, tmp_path / "old" / "adapter", epochs=1)
    shutil.copytree(tmp_path / "old", tmp_path / "new")
    save_tiny_model(base, seed=7)
    assert checked_base(tmp_path / "new" / "adapter").samefile(tmp_path / "new" / "base")
    save_tiny_model(tmp_path / "new" / "base", seed=8)
    with pytest.raises(InputError, match="an adapter on another model than"):
        checked_base(tmp_path / "new" / "adapter")


def test_an_engine_repeats_no_name_of_a_torn_adapter(adapter: Path, tmp_path: Path) -> None:
    torn = shutil.copytree(adapter, tmp_path / "torn")
    (torn / TENSORS).write_bytes((adapter / TENSORS).read_bytes()[:100])
    with pytest.raises(InputError) as caught:
        TransformersEngine.load(torn, "torn")
    assert str(caught.value).startswith(f"{torn / TENSORS}: cannot be read")


def test_an_adapter_does_not_fit_a_base_of_another_shape_or_architecture(adapter: Path, tmp_path: Path) -> None:
    for number, settings in enumerate(({"head_dim": 16}, {"architecture": "gpt_neox"})):
        base = save_tiny_model(tmp_path / f"base{number}", **settings)
        other = shutil.copytree(adapter, tmp_path / f"adapter{number}")
        (other / BASE).unlink()
        named(other, base)
        with pytest.raises(InputError, match="this adapter does not fit its base model"):
            load_model(other, torch.float32)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"peft_type": "PREFIX_TUNING"}, "an adapter of the type PREFIX_TUNING; only LoRA's are read"),
        ({"base_model_name_or_path": None}, "names no base model"),
        ({"task_type": "SEQ_CLS"}, "an adapter of a reward model, which writes no texts"),
    ],
)
def test_an_adapter_of_another_kind_is_refused(
    change: dict[str, Any], message: str, adapter: Path, tmp_path: Path
) -> None:
    other = shutil.copytree(adapter, tmp_path / "other")
    (other / SETTINGS).write_text(json.dumps(json.loads((other / SETTINGS).read_text()) | change))
    with pytest.raises(InputError, match=message):
        load_model(other, torch.float32)


def test_a_torn_adapter_is_refused(adapter: Path, tmp_path: Path) -> None:
    for name, message in (
        (SETTINGS, "adapter is damaged"),
        ("adapter_model.safetensors", "cannot be read, so that the adapter is damaged"),
    ):
        other = shutil.copytree(adapter, tmp_path / name)
        (other / name).write_bytes((other / name).read_bytes()[:100])
        with pytest.raises(InputError, match=message):
            load_model(other, torch.float32)
    (other / "adapter_model.safetensors").unlink()
    with pytest.raises(InputError, match=r"an adapter without adapter_model.safetensors"):
        load_model(other, torch.float32)


def reference_columns(monkeypatch: pytest.MonkeyPatch, *args: Any, **more: Any) -> tuple[list[float], list[float]]:
    """The log-probabilities of the reference that a DPO training begins with."""
    made: list[Any] = []
    with monkeypatch.context() as patched:
        patched.setattr(trainer.dpo.train, "fit", lambda trainer, *_, **__: made.append(trainer))
        dpo(*args, **more)
    assert "ref" not in getattr(made[0].model, "peft_config", {})  # TRL's copy, which would be saved too
    data = made[0].train_dataset
    return data["ref_chosen_logps"], data["ref_rejected_logps"]


def test_the_reference_is_the_model_without_its_new_adapter_and_no_second_model_is_loaded(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = reference_columns(monkeypatch, tiny_model, tmp_path / "a", LoraOptions())
    loads: list[Path] = []
    load = trainer.training.lora.adapter.load_whole

    def counted(folder: Path, *rest: Any, **more: Any) -> Any:
        loads.append(folder)
        return load(folder, *rest, **more)

    monkeypatch.setattr(trainer.training.lora.adapter, "load_whole", counted)
    assert reference_columns(monkeypatch, tiny_model, tmp_path / "b") == whole
    assert loads == [tiny_model]


def test_the_reference_of_an_adapter_that_is_trained_further_is_the_parent(
    adapter: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    merged = tmp_path / "merged"
    write_merged(adapter, merged)
    parent = torch.tensor(reference_columns(monkeypatch, merged, tmp_path / "a", LoraOptions()))
    further = torch.tensor(reference_columns(monkeypatch, adapter, tmp_path / "b"))
    torch.testing.assert_close(further, parent, rtol=1e-5, atol=1e-3)
    named_one = torch.tensor(reference_columns(monkeypatch, tiny_model, tmp_path / "c", reference=adapter))
    torch.testing.assert_close(named_one, parent, rtol=1e-5, atol=1e-3)


def test_an_adapter_is_trained_further_on_the_same_base(adapter: Path, tiny_model: Path, tmp_path: Path) -> None:
    dpo(adapter, tmp_path / "next")
    settings = json.loads((tmp_path / "next" / SETTINGS).read_text())
    assert settings["base_model_name_or_path"] == str(tiny_model.resolve()) and settings["r"] == LORA.r
    assert not torch.equal(logits_of(tmp_path / "next"), logits_of(adapter))
    with pytest.raises(InputError, match=r"an adapter with r 4 and alpha 8, .*: give --lora.r 4 --lora.alpha 8"):
        dpo(adapter, tmp_path / "other", LoraOptions(r=8, alpha=8))
    with pytest.raises(InputError, match=r"which is trained further as it is: leave out --lora.target-modules"):
        dpo(adapter, tmp_path / "other", LoraOptions(r=4, alpha=8, target_modules=("q_proj",)))


def test_without_adapters_a_parent_that_is_one_is_merged_and_trained_whole(adapter: Path, tmp_path: Path) -> None:
    sft(adapter, tmp_path / "whole", LoraOptions(), learning_rate=1e-9)
    assert (tmp_path / "whole" / "model.safetensors").exists() and not (tmp_path / "whole" / SETTINGS).exists()
    torch.testing.assert_close(logits_of(tmp_path / "whole"), logits_of(adapter), rtol=1e-4, atol=1e-4)


def test_merged_weights_are_saved_whole_in_the_type_of_the_base(tiny_model: Path, tmp_path: Path) -> None:
    base = save_in_bfloat16(tiny_model, tmp_path / "base")
    checkpoints = Checkpoints(tmp_path / "checkpoints", 3, "key")
    dpo(base, tmp_path / "adapter")
    dpo(base, tmp_path / "merged", LoraOptions(r=4, alpha=8, merge=True), checkpoints=checkpoints)
    for folder in (tmp_path / "merged", checkpoints.folder / "step-000003"):
        assert not (folder / SETTINGS).exists() and checkpoint_dtype(folder) == "bfloat16"
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == [
        "adapter",
        "base",
        "checkpoints",
        "merged",
    ]
    torch.testing.assert_close(logits_of(tmp_path / "merged"), logits_of(tmp_path / "adapter"), rtol=0.1, atol=0.3)


@pytest.mark.parametrize("train", [sft, dpo])
def test_a_killed_training_of_adapters_goes_on_and_ends_with_the_same_bytes(
    train: Any, adapter: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = adapter if train is dpo else tiny_model
    train(parent, tmp_path / "whole")
    killed_after(4, train, parent, tmp_path / "out", monkeypatch)
    assert states(tmp_path / "out") == ["checkpoint-3", "checkpoint-4"]
    resumed = train(parent, tmp_path / "out")
    assert resumed.n_steps == N_STEPS
    assert not list((tmp_path / "out").glob("*.bin"))
    for name in (SETTINGS, "adapter_model.safetensors"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
