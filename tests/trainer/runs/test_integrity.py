import json
import os
import shutil
from pathlib import Path

import pytest

from console.errors import InputError, JudgeError
from engines.files import files_of
from records import Judgment, Usage
from records.keys import files_digest
from records.runs import Run
from trainer.loop.gather import check_signal
from trainer.runs.integrity import (
    EARLIER,
    HASHES,
    check_hashes,
    check_model,
    model_flaw,
    set_aside_broken_model,
    write_hashes,
)


@pytest.fixture
def run(tiny_model: Path, tmp_path: Path) -> Run:
    made = Run(tmp_path / "run")
    for number in (1, 2):
        shutil.copytree(tiny_model, made.model(number))
        (made.iteration(number) / "pairs.jsonl").write_text('{"a": 1}\n{"a": 2}\n')
        (made.iteration(number) / "judgments.jsonl").write_text('{"b": 1}\n')
        write_hashes(made, number)
    return made


def test_an_untouched_iteration_is_as_it_was(run: Run) -> None:
    check_hashes(run, 2)
    assert set(json.loads((run.iteration(2) / HASHES).read_text())["files"]) == {"judgments.jsonl", "pairs.jsonl"}


def test_a_file_edited_by_hand_is_named_with_both_hashes(run: Run) -> None:
    before = json.loads((run.iteration(2) / HASHES).read_text())["files"]["pairs.jsonl"]
    (run.iteration(2) / "pairs.jsonl").write_text('{"a": 1}\n{"a": 3}\n')
    with pytest.raises(InputError, match=rf"was changed after iter2 was done: its hash was {before} and is"):
        check_hashes(run, 2)
    check_hashes(run, 1)


def test_a_deleted_file_is_named(run: Run) -> None:
    (run.iteration(1) / "judgments.jsonl").unlink()
    with pytest.raises(InputError, match=r"judgments\.jsonl was changed after iter1 was done: it is gone"):
        check_hashes(run, 1)


@pytest.mark.parametrize("name", ["chats.jsonl", "initial_judgments.jsonl", "meta_comparisons.jsonl"])
def test_the_data_of_every_kind_of_round_are_checked(run: Run, name: str) -> None:
    (run.iteration(2) / name).write_text('{"a": 1}\n')
    write_hashes(run, 2)
    (run.iteration(2) / name).write_text('{"a": 2}\n')
    with pytest.raises(InputError, match=rf"{name} was changed after iter2 was done"):
        check_hashes(run, 2)


def test_a_model_with_other_weights_is_named_and_a_copy_of_it_is_not(run: Run) -> None:
    weights = run.model(1) / "model.safetensors"
    os.utime(weights)  # a copy has another time and the same bytes
    check_hashes(run, 1)
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(InputError, match=r"iter1/model was changed after iter1 was done: its hash was"):
        check_hashes(run, 1)


def test_another_template_in_the_tokenizers_settings_is_named(run: Run) -> None:
    path = run.model(1) / "tokenizer_config.json"
    path.write_text(path.read_text().replace("{", '{"chat_template": "none", ', 1))
    with pytest.raises(InputError, match=r"iter1/model was changed after iter1 was done: its hash was"):
        check_hashes(run, 1)


def test_an_iteration_done_before_those_settings_were_looked_at_is_checked_as_it_was_kept(run: Run) -> None:
    model, path = run.model(1), run.iteration(1) / HASHES
    files = files_of(model, EARLIER)
    stamps = {file.name: (file.stat().st_size, file.stat().st_mtime_ns) for file in files}
    kept = json.loads(path.read_text()) | {"model": files_digest(files), "stamps": stamps}
    path.write_text(json.dumps({name: value for name, value in kept.items() if name != "whole"}))
    check_hashes(run, 1)
    os.utime(model / "config.json")
    check_hashes(run, 1)
    (model / "config.json").write_text((model / "config.json").read_text() + " ")
    with pytest.raises(InputError, match=r"iter1/model"):
        check_hashes(run, 1)


def test_weights_are_read_again_only_where_their_stamp_changed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import trainer.runs.integrity

    read: list[Path] = []
    monkeypatch.setattr(trainer.runs.integrity, "model_digest", lambda folder: read.append(folder) or "other")
    check_hashes(run, 1)
    assert read == []
    os.utime(run.model(1) / "config.json", ns=(1, 1))
    with pytest.raises(InputError, match="and is other"):
        check_hashes(run, 1)


def test_an_iteration_without_hashes_is_said_and_a_torn_file_is_an_error(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    path = run.iteration(1) / HASHES
    path.write_text("{")
    with pytest.raises(InputError, match=r"hashes\.json: cannot be read"):
        check_hashes(run, 1)
    path.unlink()
    check_hashes(run, 1)
    assert "iter1 has no hashes.json: its files are not checked" in capsys.readouterr().err


def test_a_parent_that_was_deleted_is_named(run: Run, tmp_path: Path, tiny_model: Path) -> None:
    base = tmp_path / "base"
    shutil.copytree(tiny_model, base)
    run.iteration(0).mkdir()
    run.model(0).symlink_to(base, target_is_directory=True)
    check_model(run, 0)
    shutil.rmtree(base)
    with pytest.raises(InputError, match=r"iter0/model \(it points to .*base\) is gone: iter1 is trained from it"):
        check_model(run, 0)
    shutil.rmtree(run.model(2))
    with pytest.raises(InputError, match="iter2/model is gone: iter3 is trained from it"):
        check_hashes(run, 2)


@pytest.mark.parametrize("keep_share", [0.0, 0.001, 0.5])
def test_weights_that_were_cut_off_are_found_without_a_manifest(run: Run, keep_share: float) -> None:
    weights = run.model(1) / "model.safetensors"
    data = weights.read_bytes()
    weights.write_bytes(data[: int(keep_share * len(data))])
    assert "model.safetensors" in str(model_flaw(run.model(1)))
    with pytest.raises(InputError, match="iter1/model is incomplete"):
        check_model(run, 1)


def test_a_missing_shard_is_named(run: Run) -> None:
    model = run.model(1)
    (model / "model.safetensors").rename(model / "model-00001-of-00002.safetensors")
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    assert model_flaw(model) == "model-00002-of-00002.safetensors is missing"
    (model / "config.json").unlink()
    assert model_flaw(model) == "config.json is missing"


def test_a_half_written_model_is_set_aside_and_a_whole_one_stays(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    from trainer.training.checkpoints import seal

    model = run.model(2)
    seal(model, model.with_name("sealed"), 3)
    sealed = model.with_name("sealed")
    assert not set_aside_broken_model(sealed) and sealed.exists()
    (sealed / "tokenizer.json").unlink()
    assert set_aside_broken_model(sealed) and not sealed.exists() and sealed.with_name("sealed.1").exists()
    assert "half-written: tokenizer.json is missing" in capsys.readouterr().err
    assert not set_aside_broken_model(sealed)
    assert set_aside_broken_model(run.model(1))  # it has no manifest


def judged(prompt: str, score: float | None) -> Judgment:
    return Judgment(
        id=prompt, response_id="", prompt_id=prompt, prompt="p", response="r", model="m", score=score, scores=[],
        replies=[], error=None, spread=None, rubric="additive", judge="j", usage=Usage(),
    )  # fmt: skip


def test_a_judge_that_always_says_5_is_an_error_with_what_to_try() -> None:
    rows = [judged(prompt, 5.0) for prompt in "aaabbb"]
    with pytest.raises(
        JudgeError, match="all 2 prompts .* are tied; 6 of 6 scores are 5, and 6 the highest, 5.*rubric.*temperature"
    ):
        check_signal(rows)


def test_expected_scores_that_differ_in_their_last_digits_are_one_score() -> None:
    with pytest.raises(JudgeError, match="4 of 4 scores are 5"):
        check_signal([judged("a", 4.99995), judged("a", 5.0), judged("b", 4.99999), judged("b", 4.99991)])


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [judged("a", None), judged("a", None)],
        [judged("a", 5.0), judged("b", 5.0)],
        [judged("a", 5.0), judged("a", 5.0), judged("b", 4.0), judged("b", 5.0)],
    ],
)
def test_a_judge_that_tells_two_answers_apart_or_was_not_asked_goes_on(rows: list[Judgment]) -> None:
    check_signal(rows)


def test_different_prompts_with_different_scores_still_say_nothing() -> None:
    with pytest.raises(JudgeError, match="2 of 4 scores are 3, and 2 the highest, 4"):
        check_signal([judged("a", 3.0), judged("a", 3.0), judged("b", 4.0), judged("b", 4.0)])
