import gzip
import json
import sys
import zipfile
from pathlib import Path

from benchmarks.judge_throughput.__main__ import answers_of, cost_of, row_of
from benchmarks.judge_throughput.environments import last_line
from benchmarks.judge_throughput.killed import n_stored
from benchmarks.judge_throughput.runners import RUNNERS
from benchmarks.slow_server import NUMBER

RUNS = [
    {"verdicts": 1000, "wall_s": 4.0, "processor_s": 1.0, "peak_mib": 50.0},
    {"verdicts": 998, "wall_s": 6.4, "processor_s": 3.0, "peak_mib": 70.4},
    {"verdicts": 1000, "wall_s": 9.0, "processor_s": 2.0, "peak_mib": 60.0},
]


def test_replies_in_any_file_of_a_killed_runner_count_once(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.log").write_bytes(b"\xff call-00000001 call-00000002 call-00000001 call-3")
    with zipfile.ZipFile(tmp_path / "b.eval", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("c.json", "call-00000002 " * 50 + "call-00000009")
    assert n_stored(tmp_path) == 3
    assert n_stored(tmp_path / "none") == 0


def test_answers_of_both_shapes_are_repeated_with_a_number_until_there_are_enough(tmp_path: Path) -> None:
    outputs, lines = tmp_path / "outputs.json.gz", tmp_path / "lines.jsonl"
    outputs.write_bytes(gzip.compress(json.dumps([{"instruction": "p", "output": "a"}]).encode()))
    lines.write_text('{"prompt": "q", "response": "b"}\n')
    rows = answers_of((outputs, lines), 3)
    assert [(row["id"], row["prompt"], row["response"]) for row in rows] == [
        ("a0", "p", "a"), ("a1", "q", "b"), ("a2", "p", "2. a"),
    ]  # fmt: skip


def test_a_row_has_medians_and_the_fewest_verdicts() -> None:
    assert row_of("x", RUNS, 1000, 3.2) == {
        "runner": "x", "verdicts": 998, "turns": 3, "wall s": 6.4, "calls/s": 156.2, "% of ideal": 50.0,
    }  # fmt: skip
    assert cost_of("x", RUNS, "1 of 2", RUNS[:1]) == {
        "runner": "x", "processor s": 2.0, "peak MiB": 70, "stored": "1 of 2", "wall / ours": 1.6,
    }  # fmt: skip
    assert cost_of("x", RUNS, "", None)["wall / ours"] is None


def test_every_runner_is_a_module_and_its_reply_names_the_call() -> None:
    sides = Path(sys.modules[answers_of.__module__].__file__ or "").parent / "sides"
    assert {runner.module for runner in RUNNERS.values()} | {"__init__"} == {path.stem for path in sides.glob("*.py")}
    assert [name for name, runner in RUNNERS.items() if f"call-{NUMBER}" not in runner.reply] == []


def test_the_reason_is_the_last_line_that_says_something() -> None:
    assert last_line("a\nERROR: no match \n\n") == "ERROR: no match"
    assert last_line(" \n") == "it said nothing"
