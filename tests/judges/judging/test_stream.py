import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.errors import InputError, JudgeError
from engines.scripted import ScriptedEngine
from judges.judging import stream
from judges.judging.cost import Budget
from judges.judging.judge import has_every_reply, open_judge
from judges.judging.stream import Summary, judge_stream, survey
from judges.options import CostOptions, JudgeOptions
from records import Judgment, Store

TEXT = JudgeOptions(read="text", samples=1)


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(stream, "WINDOW", 7)
    path = tmp_path / "answers.jsonl"
    rows = [{"prompt": f"Q{n}", "response": f"answer {n}", "model": f"m{n % 2}"} for n in range(30)]
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, rows[3]]))
    return path


def engine() -> ScriptedEngine:
    return ScriptedEngine(reply=lambda request: f"Score: {request.seed % 6}")


def run(source: Path, out: Path, asked: ScriptedEngine, options: CostOptions = CostOptions()) -> Summary:  # noqa: B008
    judge = open_judge(asked, TEXT, 0)
    with Store(out, Judgment, keep=has_every_reply) as store:
        return judge_stream(store, survey(source, None, strict=False), judge, Budget(options, None), "judging")


def test_windows_change_no_row(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(source, tmp_path / "small.jsonl", engine())
    monkeypatch.setattr(stream, "WINDOW", 1000)
    run(source, tmp_path / "large.jsonl", engine())
    assert (tmp_path / "small.jsonl").read_bytes() == (tmp_path / "large.jsonl").read_bytes()


def test_the_summary_is_that_of_all_rows(source: Path, tmp_path: Path) -> None:
    from statistics import fmean, pstdev

    summary = run(source, tmp_path / "out.jsonl", engine())
    with Store(tmp_path / "out.jsonl", Judgment) as store:
        rows = list(store.rows())
    assert summary.n == summary.n_scored == len(rows) == 30
    for name, model in summary.models.items():
        scores = [row.score for row in rows if row.model == name and row.score is not None]
        assert model.mean == pytest.approx(fmean(scores)) and model.deviation == pytest.approx(pstdev(scores))


def test_a_stopped_stream_goes_on_in_the_middle_of_a_window(source: Path, tmp_path: Path) -> None:
    run(source, tmp_path / "whole.jsonl", engine())

    def dying() -> Iterator[str]:
        yield from ["Score: 0"] * 17
        raise KeyboardInterrupt

    replies = dying()
    seeded = engine()
    with pytest.raises(KeyboardInterrupt):
        run(source, tmp_path / "stopped.jsonl", ScriptedEngine(reply=lambda r: (next(replies), seeded.reply(r))[1]))
    again = engine()
    summary = run(source, tmp_path / "stopped.jsonl", again)
    assert (tmp_path / "stopped.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert len(again.asked) == 13 and summary.n == 30


def test_a_spent_budget_stops_keeps_the_rows_and_goes_on_when_raised(source: Path, tmp_path: Path) -> None:
    # Each reply is two tokens long, as the scripted engine counts.
    with pytest.raises(JudgeError, match="stopped at the budget: 15 of 30 done"):
        run(source, tmp_path / "out.jsonl", engine(), CostOptions(max_tokens_total=30))
    again = engine()
    with pytest.raises(JudgeError, match="20 of 30 done"):
        run(source, tmp_path / "out.jsonl", again, CostOptions(max_tokens_total=40))
    assert len(again.asked) == 5
    summary = run(source, tmp_path / "out.jsonl", engine())
    run(source, tmp_path / "whole.jsonl", engine())
    assert summary.n == 30 and (tmp_path / "out.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_an_unscored_answer_is_named_with_its_line(source: Path, tmp_path: Path) -> None:
    def reply(request: object) -> str:
        return "no idea" if "answer 5\n" in request.messages[0]["content"] else "Score: 3"  # type: ignore[attr-defined]

    summary = run(source, tmp_path / "out.jsonl", ScriptedEngine(reply=reply))
    assert summary.n_scored == 29 and summary.unscored == [f"{source}:6: no verdict in the reply"]


def test_a_limit_below_one_is_refused(source: Path) -> None:
    with pytest.raises(InputError, match="at least 1"):
        survey(source, 0, strict=False)
