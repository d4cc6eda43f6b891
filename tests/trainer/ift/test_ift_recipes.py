import json
import tomllib
from dataclasses import fields, replace
from pathlib import Path

import pytest

from console.command import parse
from console.errors import InputError
from tests.conftest import ROOT
from trainer.ift.__main__ import Config, main
from trainer.ift.options import IFTOptions, check_ift
from trainer.training.memory.options import MemoryOptions

NAMES = ["ift_mistral_base", "ift_mistral_sft", "ift_small"]
PAPERS = {
    "epochs": 3, "batch_size": 512, "micro_batch_size": 8, "max_length": 1024, "learning_rate": 5e-7,
    "optim": "rmsprop", "final_share": 0.0, "warmup_share": 0.1, "max_grad_norm": 10.0, "max_lambda": 0.2,
    "decay": 0.95, "variant": "released", "average": "answers", "loss_on": "all", "detach_weights": False,
}  # fmt: skip


def recipe(name: str, *flags: str) -> Config:
    return parse(Config, ["--config", str(ROOT / "recipes" / f"{name}.toml"), *flags], "ift")


@pytest.fixture
def chats(tmp_path: Path) -> Path:
    path = tmp_path / "chats.jsonl"
    rows = [{"messages": [{"role": r, "content": c} for r, c in (("user", "q"), ("assistant", "a"))]}] * 3
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_there_is_no_other_recipe_of_it() -> None:
    assert sorted(path.stem for path in (ROOT / "recipes").glob("ift_*.toml")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_is_valid_and_says_what_it_would_do(
    name: str, chats: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = recipe(name, str(chats), "--model", str(tiny_model), "--dry-run")
    main(config)
    assert capsys.readouterr().out.startswith(f"would train {tiny_model} on 3 conversations of {chats}")
    assert recipe(name).file is not None and config.out == Path(f"runs/{name}/model")


@pytest.mark.parametrize("name", NAMES[:2])
def test_the_papers_numbers_are_in_both_of_its_scenarios(name: str) -> None:
    training = recipe(name).training
    assert {key: getattr(training, key) for key in PAPERS} == PAPERS


def test_the_papers_scenarios_train_alike() -> None:
    base, sft = (tomllib.loads((ROOT / "recipes" / f"{name}.toml").read_text()) for name in NAMES[:2])
    assert base.pop("training") == sft.pop("training") and base.keys() < sft.keys() == base.keys() | {"limit"}


def test_a_recipe_writes_every_setting_of_the_paper_down() -> None:
    written = tomllib.loads((ROOT / "recipes" / "ift_mistral_base.toml").read_text())["training"]
    left_out = {field.name for field in fields(IFTOptions)} - written.keys()
    none = {"min_lambda", "temperature", "embeddings", "save_minutes", "chat_template_kwargs", "report_to", "lora"}
    none |= {"validation_share", "validation_steps", "patience"}
    memory = {field.name for field in fields(MemoryOptions)} - {"optim"}
    assert left_out == none | memory  # these change no number here


@pytest.mark.parametrize(("name", "value"), [("final_share", 1.5), ("final_share", -0.1), ("max_grad_norm", 0.0)])
def test_a_setting_out_of_range_is_named(name: str, value: float) -> None:
    with pytest.raises(InputError, match=f"{name} must be .* not {value}"):
        check_ift(replace(IFTOptions(), **{name: value}))


def test_the_cosine_and_the_gradients_norm_are_the_recipes(
    chats: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainer.ift import trainer
    from trainer.training.outcome import Trained

    seen = {}

    def fit(made: trainer.IFTTrainer, *_: object, **__: object) -> Trained:
        seen["args"] = made.args
        return Trained(3, 1, 1.0, {})

    monkeypatch.setattr(trainer, "fit", fit)
    config = recipe("ift_mistral_sft", str(chats), "--model", str(tiny_model), "--out", str(tmp_path / "out"))
    main(config)
    args = seen["args"]
    assert (args.max_grad_norm, args.lr_scheduler_kwargs, args.optim) == (10.0, {"min_lr_rate": 0.0}, "rmsprop")
    assert (args.per_device_train_batch_size, args.gradient_accumulation_steps) == (8, 64)
