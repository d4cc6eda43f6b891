import json
from pathlib import Path

import pytest

from console.command import parse
from console.errors import InputError, JudgeError
from engines.scripted import ScriptedEngine
from judges.score import __main__ as score
from records import Judgment, read_rows
from tests.judges.opened import patch_open_engine


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ScriptedEngine:
    """Every command asks this engine and works in an empty folder."""
    found = ScriptedEngine(reply=lambda request: f"Score: {len(request.messages[0]['content']) % 6}")
    patch_open_engine(monkeypatch, lambda options: found)
    monkeypatch.chdir(tmp_path)
    return found


def run(*arguments: str) -> None:
    score.main(parse(score.Config, [*arguments, "--read", "text"], "prog"))


def write(path: str, *rows: dict[str, object]) -> None:
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_every_response_gets_a_row_and_every_model_a_line(
    engine: ScriptedEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    write("a.jsonl", *({"prompt": f"Q{n}", "response": "A", "model": f"m{n % 2}"} for n in range(6)))
    run("a.jsonl", "--out", "j.jsonl")
    assert len(list(read_rows(Path("j.jsonl"), Judgment))) == 6
    printed = capsys.readouterr().out
    assert "| m0 " in printed and "| m1 " in printed and "j.jsonl" in printed


def test_a_response_without_a_verdict_is_named_by_its_line(
    engine: ScriptedEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    write("a.jsonl", {"prompt": "Q", "response": "A"}, {"response": "no prompt"}, {"prompt": "Q", "response": ""})
    run("a.jsonl", "--min-coverage", "0.5")
    errors = capsys.readouterr().err
    assert "skipped: a.jsonl:2: no prompt" in errors and "unscored: a.jsonl:3: the response is empty" in errors


def test_the_same_response_twice_counts_once_and_is_said(
    engine: ScriptedEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    write("a.jsonl", *[{"prompt": "Q", "response": "A"}] * 3, {"prompt": "Q", "response": "B"})
    run("a.jsonl", "--out", "j.jsonl")
    assert len(list(read_rows(Path("j.jsonl"), Judgment))) == 2
    assert "2 of 4 responses repeat another one" in capsys.readouterr().err


def test_low_coverage_fails_after_everything_is_stored_and_printed(
    engine: ScriptedEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.reply = lambda _: "no verdict"
    write("a.jsonl", {"prompt": "Q", "response": "A"})
    with pytest.raises(JudgeError, match="only 0 of 1"):
        run("a.jsonl", "--out", "j.jsonl")
    [row] = read_rows(Path("j.jsonl"), Judgment)
    assert row.score is None and row.replies == ["no verdict"] * 3
    assert "unscored" in capsys.readouterr().out


def test_a_dry_run_shows_a_prompt_and_asks_nothing(engine: ScriptedEngine, capsys: pytest.CaptureFixture[str]) -> None:
    write("a.jsonl", {"prompt": "MY QUESTION", "response": "MY ANSWER"})
    run("a.jsonl", "--dry-run")
    printed = capsys.readouterr().out
    assert "in 3 calls" in printed and "MY QUESTION" in printed and "MY ANSWER" in printed
    assert engine.asked == [] and not Path("runs").exists()


def test_a_dry_run_says_about_what_it_would_cost(engine: ScriptedEngine, capsys: pytest.CaptureFixture[str]) -> None:
    write("a.jsonl", {"prompt": "Q", "response": "A"})
    Path("prices.toml").write_text("scripted = [1000, 2000]\n")
    run("a.jsonl", "--dry-run", "--json", "--prices", "prices.toml", "--max-new-tokens", "50")
    plan = json.loads(capsys.readouterr().out)
    assert plan["most_tokens_written"] == 150 and plan["about_tokens_read"] == 3 * -(-len(plan["first_prompt"]) // 4)
    assert plan["about_dollars"] == pytest.approx((plan["about_tokens_read"] * 1000 + 150 * 2000) / 1e6)
    run("a.jsonl", "--dry-run")
    told = capsys.readouterr().out
    assert f"about {plan['about_tokens_read']:,} tokens read, at most 768 written\n" in told


def test_a_dry_run_tells_the_rows_that_are_there_already(
    engine: ScriptedEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    write("a.jsonl", *({"prompt": f"Q{number}", "response": "A"} for number in range(5)))
    run("a.jsonl", "--limit", "2", "--out", "j.jsonl")
    before = Path("j.jsonl").read_bytes()
    run("a.jsonl", "--out", "j.jsonl", "--dry-run")
    assert "in 15 calls to scripted; 2 rows of this judge are there already" in " ".join(
        capsys.readouterr().out.split()
    )
    run("a.jsonl", "--out", "j.jsonl", "--dry-run", "--samples", "1")
    assert "are there already" not in capsys.readouterr().out  # they are another judge's
    assert Path("j.jsonl").read_bytes() == before


def test_without_a_file_the_newest_run_is_scored_or_else_the_example(
    engine: ScriptedEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    run()
    assert "| example-a " in capsys.readouterr().out
    folder = Path("runs/mine/iter2")
    folder.mkdir(parents=True)
    (folder.parent / "run.toml").touch()
    write(str(folder / "responses.jsonl"), {"prompt": "Q", "response": "A", "model": "iter1"})
    run()
    assert "| iter1 " in capsys.readouterr().out


def test_fresh_judges_again_and_keeps_the_old_file(engine: ScriptedEngine) -> None:
    write("a.jsonl", {"prompt": "Q", "response": "A"})
    run("a.jsonl", "--out", "j.jsonl")
    run("a.jsonl", "--out", "j.jsonl")
    assert len(engine.asked) == 3
    run("a.jsonl", "--out", "j.jsonl", "--fresh")
    assert len(engine.asked) == 6 and Path("j.jsonl.1").exists()


def test_a_limit_below_one_is_refused(engine: ScriptedEngine) -> None:
    write("a.jsonl", {"prompt": "Q", "response": "A"})
    with pytest.raises(InputError, match="--limit must be at least 1"):
        run("a.jsonl", "--limit", "0")
