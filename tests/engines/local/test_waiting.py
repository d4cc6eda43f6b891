"""A model in this process is named without being loaded, and loaded once it is asked something."""

import importlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from console.command import parse
from console.errors import InputError
from engines.local.waiting import LocalEngine, local_engine
from engines.options import EngineOptions, open_engine
from engines.protocol import Request, Sampling

Q: list[Any] = [{"role": "user", "content": "Q"}]
SERVED = "gpt-5@http://127.0.0.1:9/v1"
LOAD = "engines.local.transformers_engine.TransformersEngine.load"


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is loaded, which none of these may be."""
    found: list[str] = []

    def load(folder: Path, *_: object) -> None:
        found.append(str(folder))
        raise RuntimeError("loaded")

    monkeypatch.setattr(LOAD, load)
    return found


@pytest.mark.parametrize("kwargs", [{}, {"enable_thinking": False}])
def test_a_model_that_is_not_loaded_has_the_names_of_one_that_is(tiny_model: Path, kwargs: dict[str, Any]) -> None:
    engine = open_engine(EngineOptions(str(tiny_model), chat_template_kwargs=kwargs))
    assert isinstance(engine, LocalEngine)
    assert (engine.name, engine.digest) == (engine.loaded.name, engine.loaded.digest)
    [said] = engine.generate([Request(Q)], Sampling(4))
    assert said == next(iter(engine.loaded.generate([Request(Q)], Sampling(4))))
    [one] = engine.choose([Request(Q)], ["1", "2"])
    assert len(one.logprobs) == 2 and engine.tokenizer is engine.loaded.tokenizer


def test_what_is_all_there_already_loads_nothing(tiny_model: Path, loads: list[str]) -> None:
    engine = local_engine(tiny_model, "tiny", 4)
    assert list(engine.generate([Request(Q)], Sampling(4), {0})) == list(engine.choose([Request(Q)], ["1"], {0})) == []
    assert loads == []
    with pytest.raises(RuntimeError, match="loaded"):
        list(engine.generate([Request(Q)], Sampling(4)))


@pytest.mark.parametrize("name", ["chat_template.jinja", "tokenizer_config.json"])
def test_a_model_without_a_chat_template_is_refused_before_it_is_loaded(
    tiny_model: Path, tmp_path: Path, name: str, loads: list[str]
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    for path in (folder / "chat_template.jinja", folder / "tokenizer_config.json"):
        if path.suffix == ".jinja":
            path.unlink(missing_ok=True)
        else:
            settings = json.loads(path.read_text())
            settings.pop("chat_template", None)
            path.write_text(json.dumps(settings))
    with pytest.raises(InputError, match="no chat template"):
        local_engine(folder, "m", 4)
    if name.endswith("json"):
        (folder / name).write_text(json.dumps({"chat_template": "{{ messages[0].content }}"}))
    else:
        (folder / name).write_text("{{ messages[0].content }}")
    assert local_engine(folder, "m", 4).name == "m" and loads == []


@pytest.mark.parametrize(
    ("module", "argv"),
    [
        ("judges.score", ["a.jsonl"]), ("judges.score", ["a.jsonl", "--judge", "M", "--judge", SERVED]),
        ("judges.score", ["a.jsonl", "--corpus", "c.jsonl"]), ("judges.compare", ["a.jsonl", "a.jsonl"]),
        ("judges.compare", ["a.jsonl", "a.jsonl", "--judge", "M", "--judge", SERVED]),
        ("judges.calibrate", ["p.jsonl"]),
        ("judges.cluster", ["a.jsonl", "--equivalence", "judge"]), ("judges.best_of", ["a.jsonl"]),
        ("judges.attacks", []), ("evals.alpaca", ["--prompts", "a.jsonl", "--reference", "a.jsonl"]),
        ("evals.head_to_head", ["a.jsonl", "--judge-model", "M"]),
    ],
)  # fmt: skip
def test_a_dry_run_loads_no_model(
    module: str, argv: list[str], tiny_model: Path, tmp_path: Path, loads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.jsonl").write_text('{"prompt": "Q", "response": "A"}\n{"prompt": "R", "response": "B"}\n')
    Path("p.jsonl").write_text('{"prompt": "Q", "chosen": "A", "rejected": "B"}\n')
    Path("c.jsonl").write_text('{"text": "The sky is blue."}\n')
    command = importlib.import_module(module)
    command = importlib.import_module(f"{module}.__main__") if hasattr(command, "__path__") else command
    words = [str(tiny_model) if word == "M" else word for word in argv]
    command.main(parse(command.Config, [*words, "--model", str(tiny_model), "--dry-run"], module))
    assert loads == [] and not Path("runs").exists()
