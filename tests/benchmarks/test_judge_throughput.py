import base64
import gzip
import json
import sys
import zipfile
from pathlib import Path

from benchmarks.judge_throughput.__main__ import answers_of, has_turn
from benchmarks.judge_throughput.environments import last_line
from benchmarks.judge_throughput.killed import n_stored
from benchmarks.judge_throughput.results import Kill, Results, Turn
from benchmarks.judge_throughput.runners import RUNNERS
from benchmarks.judge_throughput.running import Work, take_turn
from benchmarks.judge_throughput.tables import cost_of, row_of
from benchmarks.judge_throughput.vllm import vllm_rows
from benchmarks.slow_server import NUMBER

TURNS = [
    Turn("x", "x", 1000, 1000, 4.0, 1.0, 50.0),
    Turn("x", "x", 998, 1000, 6.4, 3.0, 70.4),
    Turn("x", "x", 1000, 1000, 9.0, 2.0, 60.0),
]
# A zip with one member packed with Zstandard, as inspect-ai writes its logs.
ZSTD_LOG = (
    "UEsDBBQAAABdAJyEfV13E60cGgAAAEYAAAAGAAAAcy5qc29uKLUv/QBYjQAASGNhbGwtMDc3IAIAjXmGAIpQSwECFAMUAAAAXQCc"
    "hH1ddxOtHBoAAABGAAAABgAAAAAAAAAAAAAAgAEAAAAAcy5qc29uUEsFBgAAAAABAAEANAAAAD4AAAAAAA=="
)


def test_replies_in_any_file_of_a_killed_runner_count_once(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.log").write_bytes(b"\xff call-00000001 call-00000002 call-00000001 call-3")
    with zipfile.ZipFile(tmp_path / "b.eval", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("c.json", "call-00000002 " * 50 + "call-00000009")
    (tmp_path / "c.eval").write_bytes(base64.b64decode(ZSTD_LOG))
    assert n_stored(tmp_path) == 4
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
    assert row_of(TURNS, 1000, 3.2) == {
        "runner": "x", "verdicts": 998, "turns": 3, "wall s": 6.4, "calls/s": 156.2, "% of ideal": 50.0,
    }  # fmt: skip
    assert cost_of(TURNS, "1 of 2", TURNS[:1]) == {
        "runner": "x", "processor s": 2.0, "peak MiB": 70, "stored": "1 of 2", "wall / ours": 1.6,
    }  # fmt: skip
    assert cost_of(TURNS, "", [])["wall / ours"] is None


def test_a_stopped_runner_has_the_calls_until_then_and_no_verdicts() -> None:
    stopped = Turn("x", "x", None, 210, 420.0, 160.4, 70.2, "stopped after 420 s", "200 of 210")
    assert row_of([stopped], 1000, 3.2) == {
        "runner": "x", "verdicts": None, "turns": 0, "wall s": "> 420", "calls/s": 0.5, "% of ideal": 0.2,
    }  # fmt: skip
    assert cost_of([stopped], "", TURNS[:1]) == {
        "runner": "x", "processor s": "> 160", "peak MiB": 70, "stored": "200 of 210", "wall / ours": "> 105",
    }  # fmt: skip
    assert row_of([stopped, TURNS[0]], 1000, 3.2)["wall s"] == 4.0


def test_a_failed_runner_has_no_figures() -> None:
    failed = Turn("x", "x", None, 3, None, None, None, "failed: no")
    rows = row_of([failed], 1000, 3.2), cost_of([failed], "", TURNS)
    assert {value for row in rows for key, value in row.items() if key not in ("runner", "turns")} == {None}


def test_a_runner_that_was_stopped_needs_no_turn_and_one_that_failed_does() -> None:
    failed, stopped = Turn("x", "x", None, 3, None, None, None), Turn("x", "x", None, 3, 420.0, 1.0, 1.0)
    assert not has_turn([], 0) and not has_turn([failed], 0) and has_turn([failed, stopped], 0)
    assert has_turn(TURNS, 2) and not has_turn(TURNS, 3)


def test_what_was_measured_is_there_for_the_same_settings_after_a_torn_line(tmp_path: Path) -> None:
    results = Results(tmp_path / "runs" / "out.jsonl", {"in_flight": 64})
    assert results.turns("x") == [] and results.kill("x") is None
    results.add(TURNS[0])
    with results.file.open("a") as file:
        file.write('{"kind": "Tu')
    results.add(Kill("x", "1 of 2"))
    results.add(TURNS[1])
    assert results.turns("x") == TURNS[:2] and results.kill("x") == Kill("x", "1 of 2")
    assert results.turns("y") == [] and Results(results.file, {"in_flight": 8}).turns("x") == []


def test_a_runner_over_the_limit_is_stopped_with_what_it_used(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"id": "a", "prompt": "p", "response": "r", "model": "m"}\n')
    turn = take_turn("sdk", "x", Path(sys.executable), Work(file, 1, 1, delay_s=600, limit_s=1.5))
    assert turn.verdicts is None and turn.wall_s == 1.5 and turn.calls == 0 and turn.stored == "0 of 0"
    assert turn.reason.startswith("stopped after") and turn.peak_mib and turn.peak_mib > 1


def test_the_speed_on_vllm_is_that_of_the_same_turn(tmp_path: Path) -> None:
    results = Results(tmp_path / "out.jsonl", {})
    assert vllm_rows(results) == []
    for side, seconds in {"raw": (10, 20, 40), "ours": (20, 20, 20), "logprobs": (1, 2, 4)}.items():
        for wall_s in seconds:
            results.add(Turn(side, side, 8, 8, wall_s, 1.0, None))
    assert [row["/ LLM.generate"] for row in vllm_rows(results)] == [1.0, 1.0, 10.0]
    assert [row["gradings/s"] for row in vllm_rows(results)] == [0.4, 0.4, 4.0]


def test_every_runner_is_a_module_and_its_reply_names_the_call() -> None:
    sides = Path(sys.modules[answers_of.__module__].__file__ or "").parent / "sides"
    assert {runner.module for runner in RUNNERS.values()} | {"__init__"} == {path.stem for path in sides.glob("*.py")}
    assert [name for name, runner in RUNNERS.items() if f"call-{NUMBER}" not in runner.reply] == []


def test_the_reason_is_the_last_line_that_says_something() -> None:
    assert last_line("a\nERROR: no match \n\n") == "ERROR: no match"
    assert last_line(" \n") == "it said nothing"
