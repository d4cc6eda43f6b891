"""Warnings of a judge that is a compared model, or of its family."""

from pathlib import Path

import pytest

from engines.options import EngineOptions
from evals.comparing.answer_files import AnswerFile
from evals.head_to_head.kinship import kin_warnings
from evals.head_to_head.sides import Model


def model(name: str) -> Model:
    return Model(name, EngineOptions(model=name))


def warned(judge: str, *names: str, digests: dict[str, str] | None = None, digest: str = "j") -> list[str]:
    return kin_warnings([model(name) for name in names], digests or {}, EngineOptions(model=judge), digest)


def test_a_judge_that_is_a_side_is_named() -> None:
    (warning,) = warned("mine", "mine", "other")
    assert "the judge is mine itself" in warning


def test_a_judge_that_is_a_side_under_another_name_is_known_by_its_weights() -> None:
    (warning,) = warned("mine", "copy", "other", digests={"copy": "same", "other": "o"}, digest="same")
    assert "the judge mine is copy itself" in warning


def test_a_judge_of_one_family_with_a_side_is_named() -> None:
    (warning,) = warned("Qwen/Qwen3-8B", "Qwen2.5-1.5B", "gemma-3-1b")
    assert "Qwen/Qwen3-8B and Qwen2.5-1.5B are of one family, qwen" in warning


def test_the_model_of_a_file_has_a_family_too() -> None:
    file = AnswerFile("gpt-4o", Path("a.jsonl"), {})
    (warning,) = kin_warnings([file, model("other")], {}, EngineOptions(model="gpt-5-mini"), "j")
    assert "gpt-4o are of one family, gpt" in warning


def test_a_judge_of_another_or_an_unknown_family_is_not_warned_of() -> None:
    assert warned("gpt-5-mini", "Qwen3-8B", "mine") == [] and warned("judge", "mine", "other") == []


def test_an_iteration_is_of_the_family_of_its_base_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs/demo").mkdir(parents=True)
    (tmp_path / "runs/demo/run.toml").write_text('[settings.engine]\nmodel = "smollm2"\n')
    (warning,) = warned("smollm2", "iter3", "other")
    assert "the judge smollm2 and iter3 are of one family, smollm" in warning
