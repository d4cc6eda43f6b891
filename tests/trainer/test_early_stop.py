import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from console.errors import InputError, JudgeError, TrainingError
from engines.protocol import Request
from engines.scripted import ScriptedEngine
from judges.judging.judge import Judge
from judges.rubrics.rubric import load_rubric
from records import Prompt, Response
from records.store import write_rows
from trainer.early_stop.__main__ import main
from trainer.early_stop.command import _warn_of_reported
from trainer.early_stop.options import Config, EarlyStopOptions
from trainer.early_stop.pick import pick_checkpoint
from trainer.sft.options import SFTOptions
from trainer.training.checkpoints import MANIFEST, Checkpoints, checkpoints_in, flaw_of, manifest_of, newest_checkpoint

PROMPTS = [Prompt(id=str(n), prompt=f"say {n}") for n in range(4)]
CHATS = [
    [{"role": "user", "content": f"say {n}"}, {"role": "assistant", "content": f"point {n} " * 3}] for n in range(6)
]


def better(request: Request, choices: Sequence[str]) -> list[float]:
    """Prefer the answer with the larger number after `worth`; equal ones are as likely."""
    first, second = (float(part.split()[0]) for part in request.messages[-1]["content"].split("worth ")[1:3])
    return [-1.0 if first >= second else -30.0, -1.0 if second >= first else -30.0]


def judge(rule: Callable[[Request, Sequence[str]], list[float]] = better) -> Judge:
    return Judge(ScriptedEngine(logprobs=rule), load_rubric("pairwise"))


def answering(worths: dict[str, list[float]], asked: list[str]):  # type: ignore[no-untyped-def]
    def answer(checkpoint: Path, prompts: list[Prompt]) -> list[Response]:
        asked.append(checkpoint.name)
        return [
            Response(
                id=f"{checkpoint.name}{prompt.id}", prompt_id=prompt.id, prompt=prompt.prompt,
                response=f"worth {worth} to {prompt.id}", model=checkpoint.name,
            )
            for prompt, worth in zip(prompts, worths[checkpoint.name], strict=False)
        ]  # fmt: skip

    return answer


def picked(worths: dict[str, list[float]], out: Path, **options: float) -> tuple[str, list[str], list[float]]:
    asked: list[str] = []
    names = [Path(name) for name in worths]
    found = pick_checkpoint(names, PROMPTS, answering(worths, asked), judge(), out, EarlyStopOptions(**options))  # type: ignore[arg-type]
    return found.path.name, asked, [one.win_rate for one in found.rounds]


def test_the_last_checkpoint_that_won_is_picked_and_none_after_it_answers(tmp_path: Path) -> None:
    worths = {"a": [1.0] * 4, "b": [2, 2, 2, 0.5], "c": [1, 2, 2, 0.5], "d": [9.0] * 4}
    assert picked(worths, tmp_path) == ("b", ["a", "b", "c"], [0.75, 0.375])


def test_with_patience_a_later_winner_is_compared_with_the_best(tmp_path: Path) -> None:
    worths = {"a": [5.0] * 4, "b": [1.0] * 4, "c": [2.0] * 4, "d": [6.0] * 4, "e": [0.0] * 4}
    assert picked(worths, tmp_path, patience=3) == ("d", ["a", "b", "c", "d", "e"], [0, 0, 1, 0])


def test_ties_count_half_and_half_is_no_win(tmp_path: Path) -> None:
    assert picked({"a": [1.0] * 4, "b": [1.0] * 4}, tmp_path / "1") == ("a", ["a", "b"], [0.5])
    assert picked({"a": [1.0] * 4, "b": [1, 1, 1, 2.0]}, tmp_path / "2")[0] == "b"
    assert picked({"a": [1.0] * 4, "b": [1, 1, 1, 2.0]}, tmp_path / "3", min_win_rate=0.7)[0] == "a"


def test_a_judge_that_prefers_a_place_sees_no_winner(tmp_path: Path) -> None:
    first = judge(lambda request, choices: [0.0, -30.0])
    found = pick_checkpoint(
        [Path("a"), Path("b")], PROMPTS, answering({"a": [1.0] * 4, "b": [9.0] * 4}, []), first, tmp_path,
        EarlyStopOptions(),
    )  # fmt: skip
    assert found.path == Path("a") and found.rounds[0].n_ties == 4


def test_prompts_without_an_answer_are_counted_and_too_few_stop(tmp_path: Path) -> None:
    worths = {"a": [1.0] * 4, "b": [2.0, 2.0]}
    with pytest.raises(JudgeError, match="2 of 4 answers got a verdict.*a checkpoint has no answer"):
        picked(worths, tmp_path)
    found = pick_checkpoint(
        [Path("a"), Path("b")], PROMPTS, answering(worths, []), judge(), tmp_path, EarlyStopOptions(), min_coverage=0.5
    )
    assert found.path == Path("b") and (found.rounds[0].n, found.rounds[0].n_unscored) == (2, 2)


def test_comparisons_are_not_paid_for_twice(tmp_path: Path) -> None:
    worths, by = {"a": [1.0] * 4, "b": [2.0] * 4}, judge()
    for _ in range(2):
        pick_checkpoint([Path("a"), Path("b")], PROMPTS, answering(worths, []), by, tmp_path, EarlyStopOptions())
    assert len(by.engine.asked) == 2 * 4  # type: ignore[attr-defined]


def test_one_checkpoint_is_picked_unasked_and_none_is_an_error(tmp_path: Path) -> None:
    assert picked({"a": [1.0] * 4}, tmp_path) == ("a", [], [])
    with pytest.raises(InputError, match="a checkpoint and a held-out prompt"):
        picked({}, tmp_path)
    with pytest.raises(InputError, match="patience must be at least 1"):
        picked({"a": [1.0] * 4}, tmp_path, patience=0)


def train(model: Path, out: Path, checkpoints: Checkpoints, options: SFTOptions | None = None) -> None:
    """Fine-tune on CHATS for six steps with checkpoints on the way."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    from trainer.training.fit import fit, load_policy, trainer_settings

    options = options or SFTOptions(learning_rate=1e-3, batch_size=2, epochs=2)
    policy, tokenizer = load_policy(model)
    rows = [{"prompt": chat[:-1], "completion": chat[-1:]} for chat in CHATS]
    settings = SFTConfig(**trainer_settings(options, out.with_name("sft.tmp"), 0), completion_only_loss=True)
    trainer = SFTTrainer(model=policy, args=settings, train_dataset=Dataset.from_list(rows), processing_class=tokenizer)
    fit(trainer, out, "SFT", checkpoints)


def test_checkpoints_are_model_folders_with_weights_only(tiny_model: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    checkpoints = Checkpoints(tmp_path / "checkpoints", every_n_steps=2, key="k")
    train(tiny_model, tmp_path / "model", checkpoints)
    found = checkpoints_in(checkpoints.folder)
    assert [path.name for path in found] == ["step-000002", "step-000004"]
    assert manifest_of(found[0]).step == 2 and flaw_of(tmp_path / "model") is None  # type: ignore[union-attr]
    folders = [tiny_model, *found, tmp_path / "model"]
    weights = [AutoModelForCausalLM.from_pretrained(folder).lm_head.weight for folder in folders]
    assert not any(torch.equal(a, b) for a, b in pairwise(weights))
    assert AutoTokenizer.from_pretrained(found[0]).chat_template
    assert not [path for path in checkpoints.folder.rglob("*") if path.suffix in (".bin", ".pt", ".pth", ".tmp")]


def test_a_training_begun_again_redoes_only_what_is_half_written(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoints = Checkpoints(tmp_path / "checkpoints", every_n_steps=2, key="k")
    train(tiny_model, tmp_path / "model", checkpoints)
    first, second = checkpoints_in(checkpoints.folder)
    weights = second / "model.safetensors"
    whole, kept = weights.read_bytes(), (first / MANIFEST).stat().st_mtime_ns
    weights.write_bytes(whole[:100])
    (checkpoints.folder / "step-000006.tmp").mkdir()
    assert flaw_of(second) == f"model.safetensors has 100 of {len(whole)} bytes"
    assert checkpoints_in(checkpoints.folder) == [first] and newest_checkpoint(checkpoints) == first

    train(tiny_model, tmp_path / "model2", checkpoints)
    assert weights.read_bytes() == whole and (first / MANIFEST).stat().st_mtime_ns == kept
    assert "set aside" in capsys.readouterr().err and (checkpoints.folder / "step-000004.1").is_dir()


def test_checkpoints_of_another_training_are_set_aside(tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    train(tiny_model, tmp_path / "model", Checkpoints(folder, 4, "one"))
    other = Checkpoints(folder, 4, "two")
    assert newest_checkpoint(other) is None and checkpoints_in(folder, "two") == [] and checkpoints_in(folder)
    train(tiny_model, tmp_path / "model2", other, SFTOptions(learning_rate=5e-3, batch_size=2, epochs=2))
    assert newest_checkpoint(other) == folder / "step-000004" and (folder / "step-000004.1").exists()


def test_a_folder_without_its_manifest_is_half_written(tiny_model: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(tiny_model, tmp_path / "step-000002")
    assert "which is written last" in str(flaw_of(tmp_path / "step-000002"))
    (tmp_path / "step-000002" / MANIFEST).write_text('{"step": 2')
    assert "which is written last" in str(flaw_of(tmp_path / "step-000002")) and checkpoints_in(tmp_path) == []


def test_a_loss_that_is_not_a_number_names_the_examples_and_the_last_good_checkpoint(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trl import SFTTrainer

    step, calls = SFTTrainer.training_step, []

    def third_is_broken(self, *args, **kwargs):  # type: ignore[no-untyped-def]
        calls.append(args[1]["input_ids"])
        loss = step(self, *args, **kwargs)
        return loss * float("nan") if len(calls) == 6 else loss  # the second micro-batch of the third step

    monkeypatch.setattr(SFTTrainer, "training_step", third_is_broken)
    checkpoints = Checkpoints(tmp_path / "checkpoints", every_n_steps=2, key="k")
    options = SFTOptions(learning_rate=1e-3, batch_size=2, micro_batch_size=1, epochs=2)
    with pytest.raises(TrainingError) as raised:
        train(tiny_model, tmp_path / "model", checkpoints, options)
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    culprit = next(n for n in range(6) if f"say {n}" in tokenizer.decode(calls[5][0]))
    message = str(raised.value)
    assert (
        f"the loss is nan at step 3, of example {culprit + 1} of 6 ('say {culprit}' -> 'point {culprit} point"
        in message
    )
    assert message.count("example ") == 1 and f"the last good checkpoint is {checkpoints.folder}/step-000002" in message
    assert flaw_of(checkpoints.folder / "step-000002") is None and not (tmp_path / "model").exists()


def test_checkpoints_every_0_steps_are_refused(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="every_n_steps must be at least 1"):
        train(tiny_model, tmp_path / "model", Checkpoints(tmp_path / "checkpoints", 0))


@pytest.mark.usefixtures("wide_screen")
def test_the_command_picks_among_checkpoints(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from dataclasses import replace

    from engines.options import EngineOptions

    folder = tmp_path / "checkpoints"
    train(tiny_model, tmp_path / "model", Checkpoints(folder, 2, "k"))
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps({"prompt": f"say {n}"}) + "\n" for n in range(3)))
    config = Config(
        folder=folder, prompts=tmp_path / "prompts.jsonl", answer_tokens=8, engine=EngineOptions(str(tiny_model))
    )
    main(config)
    printed = capsys.readouterr().out
    assert "| step-000004 | step-000002 |" in printed and f"picked: {folder}/step-00000" in printed
    main(replace(config, dry_run=True))
    assert "would compare 2 checkpoints" in capsys.readouterr().out
    with pytest.raises(InputError, match="name a file of them with --prompts"):
        main(replace(config, prompts=None))
    with pytest.raises(InputError, match="trainer.early_stop FOLDER"):
        main(replace(config, folder=None))
    (tmp_path / "early_stop").mkdir()
    (tmp_path / "prompts.jsonl").rename(tmp_path / "early_stop" / "prompts.jsonl")
    main(replace(config, prompts=None, dry_run=True))
    assert "on 3 prompts" in capsys.readouterr().out  # those that the loop compared on


def test_prompts_that_the_run_reports_on_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reported = tmp_path / "eval" / "prompts.jsonl"
    _warn_of_reported(PROMPTS, reported)
    assert capsys.readouterr().err == ""
    write_rows(reported, PROMPTS[2:])
    _warn_of_reported(PROMPTS, reported)
    assert "2 of 4 prompts are in" in capsys.readouterr().err


def test_the_command_takes_the_newest_iteration_of_a_run(tmp_path: Path) -> None:
    from trainer.early_stop.command import _checkpoint_folder

    run = tmp_path / "run"
    for number in (2, 3):
        (run / f"iter{number}" / "checkpoints" / "step-000002").mkdir(parents=True)
    (run / "run.toml").write_text("")
    assert _checkpoint_folder(run) == run / "iter3" / "checkpoints"
