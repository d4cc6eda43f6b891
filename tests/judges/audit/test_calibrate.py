import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from console.command import parse
from console.errors import InputError, JudgeError
from engines.scripted import ScriptedEngine
from judges.calibrate import __main__ as calibrate
from judges.judging.pairwise import Contest
from records import Comparison, Judgment, read_rows

PUBLISHED = {"accuracy": 0.7107, "macro precision": 0.5879, "macro recall": 0.5736, "macro F1": 0.5755}


def run(*arguments: str) -> None:
    calibrate.main(parse(calibrate.Config, [*arguments, "--resamples", "50"], "prog"))


def found_in(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "audit.json").read_text())
    return found


def measure(found: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in found["measures"] if one["name"] == name)


def llmbar(path: Path, n: int = 6) -> Path:
    """Pairs whose better answer says GOOD, but for the last one, which is labelled the wrong way round."""
    rows = []
    for i in range(n):
        answers = ("GOOD answer", "other") if i % 2 else ("other", "GOOD answer")
        rows.append(
            {"input": f"question {i}", "output_1": answers[0], "output_2": answers[1], "label": 1 if i % 2 else 2}
        )
    rows[-1]["label"] = 3 - int(str(rows[-1]["label"]))
    path.write_text(json.dumps(rows))
    return path


def pandalm(data: Path, *more: str) -> tuple[str, ...]:
    folder = data / "pandalm"
    verdicts = folder / "gpt-3.5-turbo-testset-v1.json.gz"
    return (str(folder / "testset-v1.json.gz"), "--verdicts", str(verdicts), *more)


def test_pandalms_published_numbers_come_out(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(*pandalm(data, "--out", str(tmp_path)))
    found = found_in(tmp_path)
    ties = {one["name"]: one["value"] for one in found["conventions"]["counted as ties"]}
    assert {name: round(value, 4) for name, value in ties.items()} == PUBLISHED
    assert round(found["conventions"]["counted as wrong"][0]["value"], 4) == 0.6977
    assert (found["conventions"]["left out"][0]["n"], found["unscored"]) == (974, {"no verdict in 'garbage'": 25})
    assert round(measure(found, "annotators: pairwise agreement")["value"], 4) == 0.9199
    printed = capsys.readouterr().out
    assert "0.7107" in printed and "0.9199" in printed and "counted as ties" in printed
    assert "published figures" in (tmp_path / "report.md").read_text()
    assert (tmp_path / "audit.png").read_bytes().startswith(b"\x89PNG")


def test_a_pair_rubric_asks_both_orders_and_everything_is_written(
    engine: ScriptedEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(str(llmbar(tmp_path / "set.json")), "--rubric", "pairwise", "--read", "text", "--samples", "1", "--out", "out")
    assert len(engine.asked) == 12 and len(list(read_rows(Path("out/comparisons.jsonl"), Comparison))) == 6
    found = found_in(Path("out"))
    assert measure(found, "accuracy, a tie is wrong")["value"] == pytest.approx(5 / 6)
    assert found["biases"][0]["effect"]["value"] == 0.0  # never flips
    assert Path("out/audit.png").exists()
    assert "| accuracy, a tie is wrong " in Path("out/report.md").read_text()
    printed = capsys.readouterr().out
    assert "| measure " in printed and "| baseline " in printed and "| bias " in printed


def test_a_score_rubric_scores_each_answer_once_and_compares(engine: ScriptedEngine, tmp_path: Path) -> None:
    path = tmp_path / "set.json"
    path.write_text(
        json.dumps(
            [
                {"input": "q", "output_1": "GOOD", "output_2": "x", "label": 1},
                {"input": "q", "output_1": "GOOD", "output_2": "y", "label": 2},
                {"input": "q", "output_1": "x", "output_2": "y", "label": 2},
            ]
        )
    )
    run(str(path), "--read", "text", "--samples", "1", "--out", "out")
    assert len(list(read_rows(Path("out/judgments.jsonl"), Judgment))) == len(engine.asked) == 3
    found = found_in(Path("out"))
    assert measure(found, "accuracy, a tie is half")["value"] == pytest.approx((1 + 0 + 0.5) / 3)
    assert measure(found, "tie rate")["value"] == pytest.approx(1 / 3)


def test_a_stopped_audit_goes_on_and_a_sample_is_part_of_the_whole(engine: ScriptedEngine, tmp_path: Path) -> None:
    source = str(llmbar(tmp_path / "set.json"))
    how = ("--rubric", "pairwise", "--read", "text", "--samples", "1", "--out", "out")
    run(source, *how, "--limit", "2")
    assert len(engine.asked) == 4 and "2 of 6 pairs, drawn with seed 0" in Path("out/report.md").read_text()
    run(source, *how)
    assert len(engine.asked) == 12
    first = Path("out/audit.json").read_bytes()
    run(source, *how)
    assert len(engine.asked) == 12 and Path("out/audit.json").read_bytes() == first
    run(source, *how, "--fresh")
    assert len(engine.asked) == 24 and Path("out/comparisons.jsonl.1").exists()


def test_stored_comparisons_are_audited_in_either_order_of_the_answers(
    engine: ScriptedEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = llmbar(tmp_path / "set.json")
    run(str(source), "--rubric", "pairwise", "--read", "text", "--samples", "1", "--out", "out")
    rows = json.loads(source.read_text())
    turned = [{**r, "output_1": r["output_2"], "output_2": r["output_1"], "label": 3 - r["label"]} for r in rows]
    source.write_text(json.dumps(turned))
    asked = len(engine.asked)
    run(str(source), "--verdicts", "out/comparisons.jsonl", "--out", "again")
    assert len(engine.asked) == asked
    one, two = found_in(Path("out")), found_in(Path("again"))
    for name in ("accuracy, a tie is wrong", "Cohen's kappa"):
        assert measure(one, name)["value"] == pytest.approx(measure(two, name)["value"])
    assert one["confusion"]["a"]["a"] == two["confusion"]["b"]["b"]
    source.write_text(json.dumps([*turned, {"input": "new", "output_1": "x", "output_2": "y", "label": 1}]))
    run(str(source), "--verdicts", "out/comparisons.jsonl", "--out", "again", "--min-coverage", "0.8")
    assert "verdicts on 6 of 7 labelled rows" in capsys.readouterr().err


def test_stored_judgments_are_audited(engine: ScriptedEngine, tmp_path: Path) -> None:
    source = str(llmbar(tmp_path / "set.json"))
    run(source, "--read", "text", "--samples", "1", "--out", "out")
    asked = len(engine.asked)
    run(source, "--verdicts", "out/judgments.jsonl", "--out", "again")
    assert len(engine.asked) == asked
    assert measure(found_in(Path("again")), "accuracy, a tie is wrong")["value"] == pytest.approx(5 / 6)


def test_verdicts_of_two_judges_in_one_file_are_refused(engine: ScriptedEngine, tmp_path: Path) -> None:
    source = str(llmbar(tmp_path / "set.json"))
    for samples in ("1", "2"):
        run(source, "--rubric", "pairwise", "--read", "text", "--samples", samples, "--out", f"out{samples}")
    Path("both.jsonl").write_text("".join(Path(f"out{n}/comparisons.jsonl").read_text() for n in (1, 2)))
    with pytest.raises(InputError, match="by 2 judges"):
        run(source, "--verdicts", "both.jsonl")


def test_an_output_of_another_judge_is_refused(engine: ScriptedEngine, tmp_path: Path) -> None:
    how = (str(llmbar(tmp_path / "set.json")), "--rubric", "pairwise", "--read", "text", "--out", "out", "--samples")
    run(*how, "1")
    n = len(engine.asked)
    with pytest.raises(InputError, match="out/comparisons.jsonl: holds rows of another judge .*another --out, or --fr"):
        run(*how, "2")
    assert len(engine.asked) == n
    run(*how, "2", "--fresh")
    assert len(engine.asked) == 3 * n


def test_a_table_with_verdicts_and_labels_needs_no_judge(engine: ScriptedEngine, tmp_path: Path) -> None:
    Path("log.csv").write_text("gpt,me\n1,1\n2,1\n?,2\n1.5,2\n2,0\n")
    run("log.csv", "--verdict-column", "gpt", "--human-column", "me", "--out", "out", "--min-coverage", "0.8")
    found = found_in(Path("out"))
    assert engine.asked == []
    assert found["confusion"] == {
        "a": {"a": 1, "tie": 0, "b": 1, "unscored": 0},
        "tie": {"a": 0, "tie": 0, "b": 1, "unscored": 0},
        "b": {"a": 0, "tie": 1, "b": 0, "unscored": 1},
    }
    assert measure(found, "unscored")["value"] == 0.2 and found["n_pairs"] == 5


def test_a_table_of_scores_needs_no_judge(engine: ScriptedEngine, tmp_path: Path) -> None:
    Path("log.csv").write_text("score,human\n1,1\n2,2\n4,3\nx,4\n")
    run("log.csv", "--out", "out", "--min-coverage", "0.75")
    found = found_in(Path("out"))
    assert engine.asked == [] and measure(found, "Spearman")["value"] == pytest.approx(1.0)
    assert measure(found, "unscored answers")["value"] == 0.25


def test_a_win_rate_of_other_comparisons_is_corrected(engine: ScriptedEngine, tmp_path: Path) -> None:
    source = str(llmbar(tmp_path / "set.json"))
    Path("other.jsonl").write_text('{"winner": "b", "prompt_id": "1"}\n{"winner": null, "prompt_id": "2"}\n')
    how = ("--rubric", "pairwise", "--read", "text", "--samples", "1", "--out", "out")
    with pytest.raises(
        JudgeError, match="other.jsonl: only 1 of 2 rows of --test have a verdict, under --min-coverage"
    ):
        run(source, *how, "--test", "other.jsonl")
    found = found_in(Path("out"))["correction"]
    assert (found["judged"]["value"], found["judged"]["n"], found["labelled"]) == (1.0, 1, None)
    assert found["test"] == "other.jsonl"
    assert (found["sensitivity"]["value"], found["specificity"]["value"]) == (0.75, 1.0)


def test_a_retest_asks_again_with_other_seeds(engine: ScriptedEngine, tmp_path: Path) -> None:
    source = str(llmbar(tmp_path / "set.json"))
    how = ("--rubric", "pairwise", "--samples", "1", "--retest", "2", "--out", "out")
    run(source, *how, "--read", "text")
    assert len(engine.asked) == 36 and len({request.seed for request in engine.asked}) == 36
    found = measure(found_in(Path("out")), "test-retest: equal verdicts")
    assert (found["value"], found["n"]) == (1.0, 12)
    run(source, *how[:-1], "other", "--read", "logprobs")
    assert "no test-retest" in Path("other/report.md").read_text()


def test_a_server_has_no_likelihood_baseline_and_says_so(engine: ScriptedEngine, tmp_path: Path) -> None:
    run(str(llmbar(tmp_path / "set.json")), "--rubric", "pairwise", "--likelihood", "--out", "out")
    assert "only --engine transformers gives the log-likelihood of a text" in Path("out/report.md").read_text()


def test_a_silent_judge_is_no_tie_and_its_report_is_written_before_the_command_fails(
    engine: ScriptedEngine, tmp_path: Path
) -> None:
    engine.reply = lambda _: "I cannot say."
    argv = (
        str(llmbar(tmp_path / "set.json")),
        "--rubric",
        "pairwise",
        "--read",
        "text",
        "--samples",
        "1",
        "--out",
        "out",
    )
    with pytest.raises(JudgeError, match="only 0 of 6 labelled rows have a verdict, under --min-coverage 0.9.*lower"):
        run(*argv)
    run(*argv, "--min-coverage", "0")
    found = found_in(Path("out"))
    assert measure(found, "unscored")["value"] == 1.0 and measure(found, "tie rate")["value"] is None
    assert sum(found["unscored"].values()) == 6 and found["correction"] is None


def test_json_on_stdout_is_the_whole_audit(
    engine: ScriptedEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(str(llmbar(tmp_path / "set.json")), "--rubric", "pairwise", "--out", "out", "--json")
    assert json.loads(capsys.readouterr().out) == found_in(Path("out"))


def test_a_dry_run_asks_nothing(engine: ScriptedEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(str(llmbar(tmp_path / "set.json")), "--rubric", "pairwise", "--dry-run")
    assert "12 calls" in capsys.readouterr().out and engine.asked == [] and not Path("runs").exists()


def test_wrong_flags_are_refused(engine: ScriptedEngine, tmp_path: Path) -> None:
    source = str(llmbar(tmp_path / "set.json"))
    for arguments, message in (
        ((), "name a file with labels"),
        ((source, "--limit", "0"), "--limit must be at least 1"),
        ((source, "--retest", "-1"), "--retest must be at least 0"),
        ((source, "--verdicts", source, "--retest", "1"), "need a judge to ask"),
    ):
        with pytest.raises(InputError, match=message):
            run(*arguments)
    Path("scores.csv").write_text("prompt,response,human\nq,x,1\nq,y,2\n")
    with pytest.raises(InputError, match="has scores, not pairs"):
        run("scores.csv", "--rubric", "pairwise")
    Path("labels.csv").write_text("label,id\n1,1\n2,2\n")
    with pytest.raises(InputError, match="has no texts to judge"):
        run("labels.csv", "--format", "pairs")


def test_a_comparison_row_is_what_its_reader_expects() -> None:
    """The audit finds a stored comparison by these names."""
    names = {field.name for field in msgspec.structs.fields(Comparison)}
    assert {"response_a", "first_order", "second_order", "preference_b", "mass", "judge"} <= names
    assert {"prompt_id", "model_a"} <= set(Contest.__dataclass_fields__)


def test_an_audit_can_measure_how_often_attacks_fool_the_model(engine: ScriptedEngine, tmp_path: Path) -> None:
    engine.reply = lambda request: f"Score: {5 if 'Score: 5' in request.messages[0]['content'] else 1}"
    source = llmbar(tmp_path / "set.json")
    run(str(source), "--read", "text", "--samples", "1", "--attacks", "24", "--out", "audit")
    rows = {row["family"]: row for row in found_in(Path("audit"))["attacks"]}
    assert rows["all"]["answers"] == 24 and rows["planted verdict"]["fooled"] > 0 == rows["master key"]["fooled"]
    assert "## How often attacks fool the judge's model" in Path("audit/report.md").read_text()
    more = ("--attacks", "24", "--out", "pairs", "--min-coverage", "0")
    run(str(source), "--rubric", "pairwise", "--read", "text", *more)
    assert found_in(Path("pairs"))["attacks"] == [] and "no attacks:" in Path("pairs/report.md").read_text()


def test_a_comparison_that_was_done_again_counts_once(tmp_path: Path) -> None:
    from judges.audit.stored import unlabelled_verdicts
    from judges.labelled.columns import columns_of
    from records.files import BadRows

    row = {"id": "c", "prompt": "Q", "prompt_id": "p", "response_a": "x", "response_b": "y", "judge": "j"}
    row |= {"first_order": None, "winner": None, "error": "call failed"}
    rows = [row, row | {"winner": "a", "first_order": "a", "error": None}]
    path = tmp_path / "c.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in rows))
    verdicts, groups = unlabelled_verdicts(path, columns_of(None, None, None, None), BadRows())
    assert [verdict.winner for verdict in verdicts] == ["a"] and groups == ["p"]
