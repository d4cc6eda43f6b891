import json
from pathlib import Path
from typing import Any

import pytest

from console.errors import InputError
from engines.options import EngineOptions
from evals.alpaca.sources import HubError, LengthFiles, hub_file, load_benchmark
from evals.comparing.flags import JudgeFlags
from records.files import BadRows
from records.runs import Run


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def outputs(*instructions: str, model: str = "base") -> list[dict[str, Any]]:
    return [{"instruction": text, "output": f"re: {text}", "generator": model} for text in instructions]


def test_the_baseline_is_matched_by_the_text_of_the_prompt(tmp_path: Path) -> None:
    prompts = written(tmp_path / "p.json", [{"id": "1", "prompt": "b"}, {"id": "2", "prompt": "a "}])
    reference = written(tmp_path / "r.json", outputs("a", "b"))
    found = load_benchmark(prompts, reference, 2, None, BadRows())
    assert [prompt.prompt for prompt in found.prompts] == ["b", "a "]
    assert [answer.response for answer in found.baseline] == ["re: b", "re: a"]


def test_prompts_without_a_baseline_are_left_out_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts = written(tmp_path / "p.json", [{"prompt": "a"}, {"prompt": "c"}])
    found = load_benchmark(prompts, written(tmp_path / "r.json", outputs("a", "b")), 2, None, BadRows())
    assert [prompt.prompt for prompt in found.prompts] == ["a"]
    assert "left out: 1 of 2 prompts" in capsys.readouterr().err


def test_a_baseline_that_answers_a_prompt_twice_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [*outputs("a", "b", "a"), {"instruction": "a", "output": "other", "generator": "base"}]
    found = load_benchmark(None, written(tmp_path / "r.json", rows), 2, None, BadRows())
    assert [answer.response for answer in found.baseline] == ["re: a", "re: b"]
    assert "several answers to 1 prompts, of which the first is the baseline" in capsys.readouterr().err


def test_no_prompt_in_common_is_an_error(tmp_path: Path) -> None:
    prompts = written(tmp_path / "p.json", [{"prompt": "c"}])
    with pytest.raises(InputError, match="no prompt of .* has an answer in"):
        load_benchmark(prompts, written(tmp_path / "r.json", outputs("a")), 2, None, BadRows())


def test_a_reference_alone_gives_its_own_prompts(tmp_path: Path) -> None:
    found = load_benchmark(None, written(tmp_path / "r.json", outputs("a", "b")), 2, None, BadRows())
    assert [prompt.prompt for prompt in found.prompts] == ["a", "b"]


def test_prompts_alone_ask_for_a_reference(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--prompts needs --reference FILE"):
        load_benchmark(tmp_path / "p.json", None, 2, None, BadRows())


def test_a_baseline_of_two_models_is_an_error(tmp_path: Path) -> None:
    rows = [*outputs("a", model="one"), *outputs("b", model="two")]
    with pytest.raises(InputError, match=r"answers of 2 models \(one, two\)"):
        load_benchmark(None, written(tmp_path / "r.json", rows), 2, None, BadRows())


def test_prompts_and_answers_in_two_unicode_normal_forms_are_matched(tmp_path: Path) -> None:
    prompts = written(tmp_path / "p.json", [{"prompt": "cafe\u0301"}])
    found = load_benchmark(prompts, written(tmp_path / "r.json", outputs("caf\u00e9")), 2, None, BadRows())
    assert [prompt.prompt for prompt in found.prompts] == ["cafe\u0301"] and len(found.baseline) == 1


def test_answers_get_the_limit_at_which_the_baselines_were_cut_off(tmp_path: Path) -> None:
    row = {"prompt": "a", "response": "x", "model": "m", "finish_reason": "length", "n_tokens": 77}
    found = load_benchmark(None, written(tmp_path / "r.json", [row]), 2, None, BadRows())
    assert found.answer_limit == 77
    for reason, limit in (("max_tokens", 77), ("stop", None), ("content_filter", None)):
        row["finish_reason"] = reason
        assert load_benchmark(None, written(tmp_path / "r.json", [row]), 2, None, BadRows()).answer_limit == limit


@pytest.mark.parametrize(("version", "name"), [(2, "alpaca_eval_gpt4_baseline.json"), (1, "alpaca_eval.json")])
def test_the_hub_comes_before_a_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: Any, name: str) -> None:
    written(tmp_path / name, outputs("from the hub"))
    monkeypatch.setattr("evals.alpaca.sources.hub_file", lambda asked: tmp_path / asked)
    found = load_benchmark(None, None, version, Run(tmp_path), BadRows())
    assert [prompt.prompt for prompt in found.prompts] == ["from the hub"]


def test_neither_hub_nor_run_says_which_flags_help(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_, **__: None)
    for run in (None, Run(tmp_path)):
        with pytest.raises(InputError, match="give --prompts FILE --reference FILE"):
            load_benchmark(None, None, 2, run, BadRows())


def test_a_cached_hub_file_needs_no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    snapshot = tmp_path / "datasets--tatsu-lab--alpaca_eval" / "snapshots" / ("0" * 40)
    written(snapshot / "alpaca_eval.json", outputs("a"))
    (snapshot.parent.parent / "refs").mkdir()
    (snapshot.parent.parent / "refs" / "main").write_text("0" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert hub_file("alpaca_eval.json") == snapshot / "alpaca_eval.json"


def test_an_unreachable_hub_is_given_up_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class Session:
        def head(self, url: str, timeout: float) -> None:
            raise OSError("no route\nto host")

    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_, **__: None)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.get_session", Session)
    with pytest.raises(HubError, match="^the hub cannot be reached: no route to host$"):
        hub_file("alpaca_eval.json")


def test_length_files_are_found_beside_the_annotations_or_in_the_folder_above(tmp_path: Path) -> None:
    (tmp_path / "df_gamed.mine.csv").touch()
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "instruction_difficulty.csv").touch()
    found = LengthFiles().located([tmp_path / "a" / "annotations.json"])
    assert found == LengthFiles(tmp_path / "df_gamed.mine.csv", tmp_path / "a" / "instruction_difficulty.csv")


def test_a_given_length_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="gone.csv: no such file"):
        LengthFiles(tmp_path / "gone.csv").located([])


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (JudgeFlags(), ("mine", "openai", "http://a")),
        (JudgeFlags(judge_model="big"), ("big", "openai", "http://a")),
        (JudgeFlags(judge_base_url="http://b"), ("mine", "openai", "http://b")),
        (JudgeFlags(judge_model="smollm2", judge_engine="transformers"), ("smollm2", "transformers", None)),
    ],
)
def test_the_judge_is_the_evaluated_model_but_for_what_is_given(
    flags: JudgeFlags, expected: tuple[str, str, str | None]
) -> None:
    found = flags.engine_options(EngineOptions(model="mine", engine="openai", base_url="http://a"))
    assert (found.model, found.engine, found.base_url) == expected


def test_a_served_judge_of_a_local_model_is_asked_at_its_server() -> None:
    found = JudgeFlags(judge_base_url="http://b").engine_options(EngineOptions(model="iter3", engine="transformers"))
    assert (found.engine, found.base_url) == ("openai", "http://b")


def test_one_answer_is_not_the_baseline_s_to_several_prompts_that_differ_in_the_system_turn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {"prompt": "a", "system": "Be brief."}, {"prompt": "a", "system": "Be long."},
        {"prompt": "b", "system": "Be brief."}, {"prompt": "c"}, {"prompt": "c", "system": "Be brief."},
    ]  # fmt: skip
    reference = written(tmp_path / "r.json", outputs("a", "b", "c"))
    found = load_benchmark(written(tmp_path / "p.json", rows), reference, 2, None, BadRows())
    assert [answer.response for answer in found.baseline] == ["re: b", "re: c"]
    assert isinstance(found.prompts[0].prompt, list) and found.prompts[1].prompt == "c"
    told = capsys.readouterr().err
    assert "the answer to 3 prompts cannot be told apart: they have one text and differ in the system turn" in told
