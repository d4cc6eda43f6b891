"""The command: its files, its words, and the runs that it refuses."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from console.command import parse
from console.errors import InputError
from evals.report.__main__ import main
from evals.report.options import Config
from records.runs import Run

Make = Callable[..., Run]


def report(*words: str) -> None:
    main(parse(Config, words, "python -m evals.report"))


def test_a_report_writes_its_files_in_the_run_and_says_where(
    make_run: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run()
    report("demo")
    told = capsys.readouterr().out
    headline = "iter2 does what is asked in 50.0 [40.0, 60.0] % of its answers, +40.0 [30.0, 50.0] points"
    assert headline in " ".join(told.split()) and max(map(len, told.splitlines())) <= 80
    for name in ("report.html", "report.md", "model_card.md"):
        assert str(run.folder / "report" / name) in told
    text = (run.folder / "report" / "report.md").read_text()
    assert "| iter2     | 50.0 [40.0, 60.0]" in text and "## How each iteration was made" in text


@pytest.mark.usefixtures("fresh_pictures")
def test_the_same_run_gives_the_same_bytes(make_run: Make) -> None:
    run = make_run()
    pages = []
    for _ in range(2):
        report("demo")
        pages.append((run.folder / "report" / "report.html").read_bytes())
    assert pages[0] == pages[1]


def test_a_model_card_has_the_hub_s_front_matter(make_run: Make) -> None:
    run = make_run()
    run.config.write_text(run.config.read_text().replace("smollm2", "HuggingFaceTB/SmolLM2-135M"))
    report("demo")
    card = (run.folder / "report" / "model_card.md").read_text()
    front = yaml.safe_load(card.split("---")[1])
    assert front["base_model"] == "HuggingFaceTB/SmolLM2-135M" and "judgeloop" in front["tags"]
    assert "# demo, iter2" in card and "arXiv 2401.10020" in card


def test_results_on_the_hub_s_data_sets_are_written_in_its_format(make_run: Make) -> None:
    run = make_run()
    folder = run.folder / "evals" / "iter2" / "open_llm"
    folder.mkdir(parents=True)
    task = {"task": "gsm8k", "metric": "exact_match", "value": 0.25, "stderr": 0.05, "n": 50}
    (folder / "results.json").write_text(json.dumps({"model": "iter2", "tasks": [task]}))
    report("demo")
    entries = yaml.safe_load((run.folder / "report" / ".eval_results" / "gsm8k.yaml").read_text())
    assert entries == [
        {
            "dataset": {"id": "openai/gsm8k", "task_id": "gsm8k"},
            "value": 25.0,
            "notes": "exact_match, in percent, 50 questions",
        }
    ]


def test_results_are_written_in_the_schema_of_every_eval_ever(make_run: Make) -> None:
    run = make_run()
    folder = run.folder / "evals" / "iter2" / "open_llm"
    folder.mkdir(parents=True)
    tasks = [
        {"task": "gsm8k", "metric": "exact_match", "value": 0.25, "stderr": 0.05, "n": 50},
        {"task": "wikitext", "metric": "perplexity", "value": 12.5, "n": 9, "is_share": False},
    ]
    (folder / "results.json").write_text(json.dumps({"model": "iter2", "tasks": tasks}))
    report("demo")
    record = json.loads((run.folder / "report" / "every_eval_ever.json").read_text())
    assert record["schema_version"] == "0.3.0"
    assert record["evaluation_id"] == f"judgeloop/demo-iter2/{record['retrieved_timestamp']}"
    assert record["model_info"]["additional_details"]["base_model"] == "smollm2"
    first, second = record["evaluation_results"]
    assert first["source_data"] == {"dataset_name": "gsm8k", "source_type": "hf_dataset", "hf_repo": "openai/gsm8k"}
    assert first["metric_config"] == {
        "metric_name": "exact_match",
        "lower_is_better": False,
        "metric_unit": "percent",
        "score_type": "continuous",
        "min_score": 0,
        "max_score": 100,
    }
    assert first["score_details"]["score"] == 25.0
    uncertainty = first["score_details"]["uncertainty"]
    assert uncertainty["num_samples"] == 50
    assert uncertainty["confidence_interval"]["lower"] == pytest.approx(15.2, abs=0.01)
    assert second["metric_config"] == {"metric_name": "perplexity", "lower_is_better": True}
    assert second["source_data"]["source_type"] == "other"


def test_a_run_without_benchmarks_shares_nothing(make_run: Make) -> None:
    run = make_run()
    report("demo")
    assert not (run.folder / "report" / "every_eval_ever.json").exists()


def test_two_runs_have_a_folder_of_their_own(make_run: Make) -> None:
    run = make_run("one")
    make_run("two")
    report("one", "two")
    assert (run.folder / "report-two" / "report.html").is_file() and not (run.folder / "report").exists()


def test_a_dry_run_writes_nothing(make_run: Make, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run()
    report("demo", "--dry-run")
    assert "would write a report on runs/demo to runs/demo/report" in capsys.readouterr().out
    assert not (run.folder / "report").exists()


def test_json_holds_the_tables(make_run: Make, capsys: pytest.CaptureFixture[str]) -> None:
    make_run()
    report("demo", "--json")
    shown = json.loads(capsys.readouterr().out)
    assert shown["tables"]["Iterations"][2]["win rate, %"] == "52.0 [48.0, 56.0]"


def test_a_report_keeps_other_files_of_its_folder(make_run: Make, tmp_path: Path) -> None:
    make_run()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "README.md").write_text("mine")
    report("demo", "--out", "out")
    assert (tmp_path / "out" / "README.md").read_text() == "mine"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("nowhere",), "no run 'nowhere'"),
        (("demo", "demo", "demo"), "3 runs: a report is on one run, or on two"),
        (("demo", "runs/demo"), "named twice"),
    ],
)
def test_runs_that_cannot_be_reported_are_refused(make_run: Make, words: tuple[str, ...], reason: str) -> None:
    make_run()
    with pytest.raises(InputError, match=reason):
        report(*words)


def test_a_damaged_last_iteration_is_told_in_the_card_and_refused_if_strict(make_run: Make) -> None:
    run = make_run()
    (run.iteration(2) / "metrics.json").write_text("{")
    report("demo")
    card = (run.folder / "report" / "model_card.md").read_text()
    assert "iter2 has no figures, measured or readable. iter1 does what is asked" in card
    assert "## What could not be read" in card and "iter2/metrics.json" in card
    with pytest.raises(InputError, match="iter2/metrics.json"):
        report("demo", "--strict")


def test_a_run_without_an_iteration_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path("runs/new")
    folder.mkdir(parents=True)
    (folder / "run.toml").write_text("[settings]\nseed = 0\n")
    with pytest.raises(InputError, match="no iteration is done yet"):
        report("new")
