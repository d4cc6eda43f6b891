import json
import math
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from console.command import parse
from console.errors import InputError, RowError
from engines.protocol import Request
from engines.scripted import ScriptedEngine
from judges.judging.judge import open_judge
from judges.judging.pairwise import Contest, compare
from judges.options import JudgeOptions
from judges.panels.panel import combine
from judges.rescore import __main__ as rescore
from judges.rubrics.calibration import Calibration, rubric_digest, write_calibration
from judges.rubrics.rubric import load_rubric
from records import Comparison, Judgment, Response, read_rows
from records.store import write_rows
from tests.conftest import ROOT
from tests.fences import plain

TEXT = JudgeOptions(read="text", samples=3)
PAIRWISE_TEXT = JudgeOptions(rubric="pairwise", read="text", samples=1)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def judged(replies: Iterable[str], n: int = 1, options: JudgeOptions = TEXT) -> list[Judgment]:
    """Return the rows of a judge that says `replies` in turn; the reply `fail` is a call that fails."""
    source = iter(replies)

    def reply(_: Request) -> str:
        said = next(source)
        if said == "fail":
            raise RuntimeError("call failed: 500")
        return said

    responses = [Response(id=f"r{k}", prompt_id="p", prompt="Q", response=f"A{k}", model=f"m{k % 2}") for k in range(n)]
    return list(open_judge(ScriptedEngine(reply=reply), options, 0).judge(responses))


def compared(reply: Callable[[Request], str], options: JudgeOptions) -> Comparison:
    contest = Contest("p", "Q", "good answer", "bad answer", "x", "y", reference="R")
    [row] = compare(open_judge(ScriptedEngine(reply=reply), options, 0), [contest], set())
    return row


def first_is_good(request: Request) -> bool:
    return plain(request.messages[0]["content"]).split("<answer_a>\n")[1].startswith("good")


def run(rows: Sequence[Judgment | Comparison], *flags: str) -> list[Judgment | Comparison]:
    """Store `rows`, rescore them and return what was written."""
    write_rows(Path("rows.jsonl"), list(rows))
    rescore.main(parse(rescore.Config, ["rows.jsonl", *flags], "prog"))
    return list(read_rows(Path("rows-rescored.jsonl"), type(rows[0])))


def printed(capsys: pytest.CaptureFixture[str]) -> dict[str, list[str]]:
    """Return the cells of each row of the printed table by its first one."""
    lines = [line.strip("| ").split("|") for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    return {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in lines}


def test_what_is_read_the_same_way_comes_to_the_same_verdicts_under_another_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = judged(["Score: 1", "Score: 4", "well", "Score: 2", "Score: 2", "Score: 3"], n=2)
    found = run(rows)
    for old, new in zip(rows, found, strict=True):
        assert new.judge != old.judge and new.id != old.id
        assert replace(new, id=old.id, judge=old.judge) == old
    assert "nothing changed" in capsys.readouterr().out
    assert [row.id for row in run(rows)] == [row.id for row in found]


def test_another_aggregation_gives_another_score_and_another_judge(capsys: pytest.CaptureFixture[str]) -> None:
    rows = judged(["Score: 1", "Score: 1", "Score: 4"])
    [new] = run(rows, "--aggregate", "median")
    assert (rows[0].score, new.score, new.scores) == (2.0, 1.0, [1.0, 1.0, 4.0])
    assert new.judge != run(rows)[0].judge
    shown = capsys.readouterr().out
    assert "2 -> 1, from 'Score: 4'" in shown and "1 of 1 verdicts changed" in shown


@pytest.mark.usefixtures("wide_screen")
def test_another_rubric_reads_replies_that_the_old_one_could_not(capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "judges/rubrics/additive.toml").read_text()
    prompt = ROOT / "judges/rubrics/additive.txt"
    text = text.replace('name = "additive"', r'name = "mine"' + "\npattern = 'I give it (?P<verdict>\\d)'")
    Path("mine.toml").write_text(text.replace('prompt = "additive.txt"', f'prompt = "{prompt}"'))
    rows = judged(["I give it 4", "Score: 2", "I give it 2", *["hm"] * 3, *["Score: 5"] * 3], n=3)
    assert [row.score for row in rows] == [2.0, None, 5.0]
    found = run(rows, "--rubric", "mine.toml", "--show", "1")
    assert [row.score for row in found] == [3.0, None, None] and found[0].scores == [4.0, None, 2.0]
    assert {row.rubric for row in found} == {"mine"} and found[2].error == "no verdict in the reply"
    table = printed(capsys)
    assert table["m0"] == ["2", "2", "0", "1", "1", "3.50", "3.00"] and table["m1"][:5] == ["1", "0", "0", "0", "1"]


def test_a_reply_that_says_the_same_in_another_scale_is_newly_scored(capsys: pytest.CaptureFixture[str]) -> None:
    rows = judged(["Score: 8", "Score: 9", "Score: 4"])
    assert rows[0].score == 4.0
    text = (ROOT / "judges/rubrics/additive.toml").read_text().replace("high = 5", "high = 10")
    Path("ten.toml").write_text(text.replace('"additive.txt"', f'"{ROOT / "judges/rubrics/additive.txt"}"'))
    assert run(rows, "--rubric", "ten.toml")[0].score == 7.0


def test_a_failed_call_stays_without_a_verdict() -> None:
    rows = judged(["fail", "Score: 2", "Score: 4", *["fail"] * 3], n=2)
    some, none = run(rows, "--aggregate", "max", "--min-samples", "2")
    assert some.score == 4.0 and some.scores == [None, 2.0, 4.0]
    assert (some.n_samples, some.missing, some.reply_samples) == (2, {"0": "call failed: 500"}, [1, 2])
    assert (none.score, none.scores, none.error) == (None, [None] * 3, "call failed: 500")
    assert none.usage == rows[1].usage and some.usage == rows[0].usage
    [strict, _] = run(rows)
    assert strict.score is None and strict.scores == [None, 2.0, 4.0] and strict.missing == rows[0].missing
    assert strict.error == "only 2 of 3 samples answered, 3 are needed: call failed: 500"


def test_a_row_of_an_earlier_version_with_a_failed_sample_has_no_score() -> None:
    [row] = judged(["fail", "Score: 2", "Score: 4"])
    old = replace(row, score=3.0, error=None, n_samples=None, missing={}, reply_samples=[])
    assert [new.score for new in run([old])] == [None]
    [new] = run([old], "--min-samples", "2")
    assert (new.score, new.scores, new.n_samples) == (3.0, [None, 2.0, 4.0], 2)


@pytest.mark.parametrize("reason", ["length", "max_tokens", "content_filter"])
def test_a_truncated_reply_stays_without_a_verdict(reason: str) -> None:
    engine = ScriptedEngine(reply=lambda _: "Score: 4", finish_reason=reason)
    response = Response(id="r", prompt_id="p", prompt="Q", response="A", model="m")
    [new] = run(list(open_judge(engine, TEXT, 0).judge([response])))
    assert new.score is None and new.error is not None and new.error.startswith("truncated")


def logprobs_rows(*masses: float) -> list[Judgment]:
    source = iter(masses)

    def logprobs(_: Request, choices: Sequence[str]) -> list[float]:
        mass = next(source)
        return [math.log(mass / 2) if choice in "13" else -math.inf for choice in choices]

    responses = [Response(id=f"r{k}", prompt_id="p", prompt="Q", response="A", model="m") for k in range(len(masses))]
    judge = open_judge(ScriptedEngine(logprobs=logprobs), JudgeOptions(min_mass=0.5), 0)
    return list(judge.judge(responses))


@pytest.mark.usefixtures("wide_screen")
def test_expected_scores_are_read_again_with_another_least_mass(capsys: pytest.CaptureFixture[str]) -> None:
    rows = logprobs_rows(0.9, 0.3, 0.05)
    assert [row.score for row in rows] == [pytest.approx(2), None, None]
    found = run(rows, "--min-mass", "0.1")
    assert [row.score for row in found] == [pytest.approx(2), pytest.approx(2), None]
    assert [row.mass for row in found] == pytest.approx([0.9, 0.3, 0.05])
    assert printed(capsys)["m"][:4] == ["3", "1", "1", "0"]
    assert [row.score for row in run(rows, "--min-mass", "0.95")] == [None] * 3


def test_criteria_are_read_again_and_a_missing_one_leaves_no_score() -> None:
    options = JudgeOptions(rubric="criteria", read="text", samples=2)
    reply = "accuracy: 5\ncompleteness: 3\nrelevance: 4\nclarity: 1"
    rows = judged([reply, reply.replace("5", "1"), reply, "accuracy: 5"], n=2, options=options)
    both, one = run(rows, "--aggregate", "max")
    assert both.criteria == {"accuracy": 5.0, "completeness": 3.0, "relevance": 4.0, "clarity": 1.0}
    assert both.score == pytest.approx(0.4 * 5 + 0.2 * 8) and one.scores == [pytest.approx(3.6), None]


def test_a_comparison_is_read_again_in_both_orders() -> None:
    def reply(request: Request) -> str:
        return "Better: A" if first_is_good(request) else "Better: B" if request.seed % 2 else "my choice is B"

    row = compared(reply, JudgeOptions(rubric="pairwise", read="text", samples=8))
    [new] = run([row])
    assert replace(new, id=row.id, judge=row.judge) == row and (row.winner, row.flipped) == ("a", False)
    text = (ROOT / "judges/rubrics/pairwise.toml").read_text()
    text = text.replace('"pairwise.txt"', f'"{ROOT / "judges/rubrics/pairwise.txt"}"')
    Path("mine.toml").write_text(
        text.replace('name = "pairwise"', "name = 'p'\npattern = 'choice is (?P<verdict>A|B)'")
    )
    [other] = run([row], "--rubric", "mine.toml")
    assert (other.second_order, other.first_order, other.winner) == ("a", None, None)
    assert other.error == "no verdict in the reply" and (other.rubric, other.reference) == ("p", "R")


def test_an_order_whose_calls_failed_stays_without_a_verdict() -> None:
    def reply(request: Request) -> str:
        if first_is_good(request):
            return "Better: A"
        raise RuntimeError("call failed")

    [new] = run([compared(reply, JudgeOptions(rubric="pairwise", read="text", samples=1))])
    assert (new.winner, new.first_order, new.second_order, new.preference_b) == (None, "a", None, None)
    assert new.error == "call failed" and new.reply_orders == ["ab"] and new.missing == {"ba-0": "call failed"}


@pytest.mark.usefixtures("wide_screen")
def test_the_table_of_comparisons_has_the_preference_for_b_in_percent(capsys: pytest.CaptureFixture[str]) -> None:
    run([compared(lambda r: "Better: A" if first_is_good(r) else "hm", JudgeOptions(rubric="pairwise", read="text"))])
    assert printed(capsys)["x and y"] == ["1", "0", "0", "0", "1", "-", "-"]
    run([compared(lambda r: "Better: tie", JudgeOptions(rubric="pairwise", read="text"))])
    assert printed(capsys)["x and y"][5:] == ["50.00", "50.00", "0.00"]


def panel_rows(*scores: float | None) -> Judgment:
    [row] = judged(["Score: 1"] * 3)
    rows = [replace(row, score=score, error=None if score is not None else "hm") for score in scores]
    return combine(rows, [f"j{n}" for n in range(len(rows))], None, None, load_rubric("additive"))


def test_a_panels_scores_are_combined_by_another_rule(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [panel_rows(1.0, 1.0, 4.0), replace(panel_rows(3.0, None, None), id="x")]
    whole, short = run(rows, "--aggregate", "median")
    assert (whole.score, whole.scores, whole.members) == (1.0, [1.0, 1.0, 4.0], ["j0", "j1", "j2"])
    assert short.score is None and short.error == rows[1].error
    assert run(rows) == rows and "2 rows stay as they are: the verdicts of a panel" in capsys.readouterr().out


def test_a_score_that_evidence_made_is_not_touched() -> None:
    row = replace(judged(["Score: 1", "Score: 1", "Score: 4"])[0], score=0.5, evidence={"claims": []})
    assert run([row], "--aggregate", "max") == [row]


def test_the_aggregation_stays_what_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    options = JudgeOptions(read="text", samples=3, aggregate="max")
    rows = judged(["Score: 1", "Score: 1", "Score: 4"], options=options)
    assert run(rows)[0].score == 4.0 and "nothing changed" in capsys.readouterr().out
    assert run(rows, "--aggregate", "mean")[0].score == 2.0


def test_a_panels_comparison_is_combined_by_another_rule() -> None:
    engine = ScriptedEngine(reply=lambda _: "Better: A")
    judge = open_judge(engine, JudgeOptions(rubric="pairwise", read="text", samples=1), 0)
    [row] = compare(judge, [Contest("p", "Q", "x", "y", "m", "n")], set())
    row = replace(row, read="panel", winner="a", votes=[0.4, 0.4, 1.0], members=["i", "j", "k"])
    assert [new.winner for new in run([row], "--aggregate", "mean")] == ["b"]
    assert [new.winner for new in run([row], "--aggregate", "majority")] == ["a"]


def test_a_row_that_was_done_again_counts_once() -> None:
    [old], [new] = judged(["fail"] * 3), judged(["Score: 3"] * 3)
    assert [row.score for row in run([old, replace(new, id=old.id)])] == [3.0]


def test_a_dry_run_writes_nothing_and_an_earlier_file_is_set_aside(capsys: pytest.CaptureFixture[str]) -> None:
    rows = judged(["Score: 3"] * 3)
    write_rows(Path("rows.jsonl"), rows)
    rescore.main(parse(rescore.Config, ["rows.jsonl", "--dry-run"], "prog"))
    assert [path.name for path in Path().iterdir()] == [
        "rows.jsonl"
    ] and "nothing is written" in capsys.readouterr().out
    run(rows)
    run(rows)
    assert sorted(path.name for path in Path().iterdir()) == [
        "rows-rescored.jsonl",
        "rows-rescored.jsonl.1",
        "rows.jsonl",
    ]


def test_the_result_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    run(judged(["Score: 1", "Score: 1", "Score: 4"]), "--aggregate", "min", "--json")
    found = json.loads(capsys.readouterr().out)
    assert found["changed"] == 1 and found["models"][0]["mean after"] == 1 and found["out"] == "rows-rescored.jsonl"
    assert found["differences"][0] | {"id": ""} == {"id": "", "reply": "'Score: 4'", "before": "2", "after": "1"}


@pytest.mark.parametrize(
    ("line", "flags", "message"),
    [
        ("{}", [], "rows.jsonl:1: neither a judgment nor a comparison"),
        ("not JSON", [], "rows.jsonl:1: not a row of this project"),
        ("ROW", ["--rubric", "pairwise"], "the rubric 'pairwise' is not for judgments"),
        ("ROW", ["--min-mass", "2"], "--min-mass must be in"),
        ("UNKNOWN", [], "rubric 'own' is not one of this project's: name its file with --rubric"),
        ("UNREAD", [], "does not say how to read its replies"),
    ],
)
def test_what_cannot_be_rescored_is_an_error(line: str, flags: list[str], message: str) -> None:
    [row] = judged(["Score: 3"] * 3)
    rows = {"ROW": row, "UNKNOWN": replace(row, rubric="own"), "UNREAD": replace(row, read="")}
    Path("rows.jsonl").write_bytes(msgspec.json.encode(rows[line]) if line in rows else line.encode())
    with pytest.raises(InputError, match=message):
        rescore.main(parse(rescore.Config, ["rows.jsonl", *flags], "prog"))
    assert [path.name for path in Path().iterdir()] == ["rows.jsonl"]


def test_a_bad_row_is_named_by_its_line_and_nothing_is_left() -> None:
    write_rows(Path("rows.jsonl"), judged(["Score: 3"] * 3))
    with Path("rows.jsonl").open("a") as file:
        file.write('{"id": "torn')
    with pytest.raises(RowError, match="rows.jsonl:2: not a Judgment row"):
        rescore.main(parse(rescore.Config, ["rows.jsonl"], "prog"))
    assert [path.name for path in Path().iterdir()] == ["rows.jsonl"]


def test_no_file_and_a_file_that_is_not_there_are_errors() -> None:
    for flags, message in (([], "name a file"), (["none.jsonl"], "none.jsonl: cannot be read")):
        with pytest.raises(InputError, match=message):
            rescore.main(parse(rescore.Config, flags, "prog"))


def test_no_model_is_loaded() -> None:
    write_rows(Path("rows.jsonl"), judged(["Score: 1", "Score: 1", "Score: 4"]))
    code = (
        "import sys; sys.argv += ['rows.jsonl', '--aggregate', 'max']\n"
        "from console.command import parse; from judges.rescore import __main__ as rescore\n"
        "rescore.main(parse(rescore.Config, sys.argv[1:], 'prog'))\n"
        "print([name for name in ('torch', 'openai', 'transformers', 'numpy', 'scipy') if name in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=".", env={"PYTHONPATH": str(ROOT)}
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.splitlines()[-1] == "[]" and "1 of 1 verdicts changed" in found.stdout


def test_memory_does_not_grow_with_the_rows(capsys: pytest.CaptureFixture[str]) -> None:
    [row] = judged(["Score: 1"], options=JudgeOptions(read="text", samples=1))
    row = replace(row, prompt="because " * 200)

    def peak(n: int) -> int:
        write_rows(Path("rows.jsonl"), [replace(row, id=f"{number:016x}") for number in range(n)])
        tracemalloc.start()
        try:
            rescore.main(parse(rescore.Config, ["rows.jsonl"], "prog"))
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(10)
    assert peak(1000) < peak(100) + 200_000  # 900 more rows are 1.7 MB


LEARNED = Calibration(
    judge="j", rubric="criteria", rubric_digest=rubric_digest(load_rubric("criteria")), kind="score", labels="mine",
    temperature=2.0, weights={"accuracy": 0.0, "completeness": 1.0, "relevance": 0.0, "clarity": 0.0},
)  # fmt: skip


def test_learned_weights_give_another_score_of_the_same_replies(capsys: pytest.CaptureFixture[str]) -> None:
    replies = ["accuracy: 5\ncompleteness: 2\nrelevance: 5\nclarity: 5"]
    rows = judged(replies, options=JudgeOptions(rubric="criteria", read="text", samples=1))
    assert rows[0].score == pytest.approx(0.4 * 5 + 0.2 * (2 + 5 + 5))
    write_calibration(Path("learned.toml"), msgspec.structs.replace(LEARNED, judge=rows[0].judge))
    [new] = run(rows, "--calibration", "learned.toml")
    assert isinstance(new, Judgment) and new.score == 2 and new.judge != rows[0].judge
    assert "was learned for" not in capsys.readouterr().err
    write_calibration(Path("learned.toml"), LEARNED)
    run(rows, "--calibration", "learned.toml", "--out", "other.jsonl")
    assert "was learned for the judge j, and the rows are by" in capsys.readouterr().err


def test_a_learned_band_of_ties_makes_a_tie_of_a_comparison() -> None:
    row = compared(lambda request: "Better: A" if first_is_good(request) else "Better: B", PAIRWISE_TEXT)
    assert row.winner == "a"
    rubric = load_rubric("pairwise")
    learned = Calibration(
        judge=row.judge, rubric="pairwise", rubric_digest=rubric_digest(rubric), kind="pair", labels="mine",
        temperature=1.0, tie=0.5,
    )  # fmt: skip
    write_calibration(Path("learned.toml"), learned)
    [new] = run([row], "--calibration", "learned.toml")
    assert isinstance(new, Comparison) and new.winner == "tie"
