"""python -m judges.score with the constraints tool."""

import json
from pathlib import Path
from typing import Any

import pytest

from console.command import parse
from console.errors import InputError, JudgeError
from engines.scripted import ScriptedEngine
from judges.best_of import __main__ as best_of
from judges.score import __main__ as score
from judges.tools.constraints.kinds import known_kinds
from judges.tools.constraints.rows import CheckedConstraint, Outcome
from judges.tools.options import EvidenceOptions, VerifyRule, check_options
from judges.tools.rows import CheckedClaim, Evidence
from judges.tools.scores import evidence_filter, evidence_summary, verified_score
from records import Judgment, Usage, read_rows
from tests.conftest import DATA
from tests.judges.opened import patch_open_engine

GOOD = "this is a good answer to the question of the day and it has no signs in it"
COMMA = "this is a good answer, and there is something wrong with the form of it"
NEITHER = "This is a good answer, and there is something wrong with the form of it"
PROMPT = "Write without commas and in lowercase."
IDS = ["punctuation:no_comma", "change_case:english_lowercase"]
SERVED = ("--model", "m", "--base-url", "http://127.0.0.1:1/v1")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ScriptedEngine:
    """A judge that gives 4 to every answer and names the two constraints of the prompt."""

    def reply(request: Any) -> str:
        content = request.messages[0]["content"]
        return (
            "\n".join(json.dumps({"kind": kind}) for kind in IDS) if "One constraint a line" in content else "Score: 4"
        )

    engine = ScriptedEngine(reply=reply)
    patch_open_engine(monkeypatch, lambda options: engine)
    monkeypatch.chdir(tmp_path)
    write("answers.jsonl", *(row(text) for text in (GOOD, COMMA, NEITHER)))
    return engine


@pytest.fixture
def no_model(asked: ScriptedEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    def open_engine(options: object) -> object:
        raise AssertionError("no model is needed")

    patch_open_engine(monkeypatch, open_engine)


def row(text: str, **fields: object) -> dict[str, object]:
    return {"prompt": PROMPT, "response": text, "instruction_id_list": IDS, "kwargs": [{}, None]} | fields


def write(path: str, *rows: dict[str, object]) -> None:
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in rows))


def run(*arguments: str) -> list[Judgment]:
    flags = ("--read", "text", "--samples", "1", "--tool", "constraints", "--min-coverage", "0")
    score.main(parse(score.Config, ["answers.jsonl", "--out", "j.jsonl", *flags, *arguments], "prog"))
    return list(read_rows(Path("j.jsonl"), Judgment))


def test_broken_constraints_cap_the_rubrics_score_and_stand_in_the_row(
    asked: ScriptedEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = run()
    assert [judgment.score for judgment in rows] == [4, 2.5, 0]
    evidence = rows[1].evidence
    assert evidence is not None and (evidence["rule"], evidence["rubric_score"]) == ("cap", 4)
    assert [(c["kind"], c["strict"]) for c in evidence["constraints"]] == [(IDS[0], "broken"), (IDS[1], "followed")]
    printed = capsys.readouterr().out
    assert "| followed                |   3 |" in printed and "| answers that follow all |   1 |" in printed


@pytest.mark.parametrize(("rule", "scores"), [("share", [5, 2.5, 0]), ("strict", [5, 0, 0])])
def test_constraints_alone_cost_no_call_and_need_no_model(no_model: None, rule: str, scores: list[float]) -> None:
    rows = run("--verify", rule)
    assert [judgment.score for judgment in rows] == scores
    assert all((row.usage, row.replies, row.read, row.error) == (Usage(), [], "checks", None) for row in rows)
    assert run("--verify", rule) == rows


def test_a_plan_of_constraints_alone_has_no_call(no_model: None, capsys: pytest.CaptureFixture[str]) -> None:
    score.main(parse(score.Config, ["answers.jsonl", "--tool", "constraints", "--verify", "strict", "--dry-run"], "p"))
    printed = capsys.readouterr().out
    assert "would judge 3 responses of answers.jsonl in 0 calls" in printed and "the first prompt" not in printed


@pytest.mark.parametrize("command", [score, best_of])
def test_a_plan_says_how_often_a_model_is_asked_for_constraints(
    asked: ScriptedEngine, command: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    write("answers.jsonl", row(GOOD), row(COMMA), row(GOOD, prompt="No commas."))
    flags = ("--tool", "constraints", "--verify", "strict", "--constraints", "ask", "--dry-run", *SERVED)
    command.main(parse(command.Config, ["answers.jsonl", *flags], "p"))
    printed = capsys.readouterr().out
    assert "up to 2 " in printed and "for the constraints, one per different prompt" in printed and not asked.asked
    command.main(parse(command.Config, ["answers.jsonl", *flags, "--json"], "p"))
    assert json.loads(capsys.readouterr().out)["calls_for_constraints"] == 2


@pytest.mark.parametrize("command", [score, best_of])
def test_a_plan_says_how_often_a_model_is_asked_for_tools_and_claims(
    asked: ScriptedEngine, command: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    write("answers.jsonl", row(GOOD), row(COMMA), row(GOOD, prompt="No commas."))
    Path("facts").mkdir()
    Path("facts/one.txt").write_text("Tea is hot.")
    flags = ("--corpus", "facts", "--max-claims", "4", "--k", "2", "--dry-run", *SERVED)
    command.main(parse(command.Config, ["answers.jsonl", *flags], "p"))
    most = 3 * (1 + 1 + 4 * 2)
    assert f"up to {most} " in capsys.readouterr().out and not asked.asked
    command.main(parse(command.Config, ["answers.jsonl", *flags, "--claims", "sentences", "--json"], "p"))
    assert json.loads(capsys.readouterr().out)["calls_for_claims"] == 3 * (1 + 4 * 2)


def test_the_summary_counts_the_evidence_of_this_runs_answers_alone(
    asked: ScriptedEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    def counted(*flags: str) -> dict[str, Any]:
        capsys.readouterr()
        run("--json", *flags)
        result = json.loads(capsys.readouterr().out)
        assert result["models"][0]["responses"] == result["evidence"]["answers"]
        return dict(result["evidence"])

    assert (counted()["answers"], counted()["broken"]) == (3, 3)
    assert counted("--limit", "1") == {
        "answers": 1, "failed": 0, "constraints named": 2, "followed": 2, "broken": 0, "not checkable": 0,
        "answers that follow all": 1,
    }  # fmt: skip
    with pytest.raises(InputError, match="holds rows of another judge"):
        run("--rubric", "single_10")
    write("answers.jsonl", *(row(text, instruction_id_list=IDS[:1], kwargs=[{}]) for text in (GOOD, COMMA, NEITHER)))
    assert (counted()["constraints named"], counted()["broken"]) == (3, 2), "the earlier constraints count no more"


@pytest.mark.parametrize("command", [score, best_of])
def test_a_run_that_is_refused_gathers_no_evidence(asked: ScriptedEngine, command: Any) -> None:
    def checked(*flags: str) -> None:
        flags = ("--tool", "constraints", "--constraints", "ask", "--read", "text", "--samples", "1", *flags)
        command.main(parse(command.Config, ["answers.jsonl", "--out", "out.jsonl", *flags], "p"))

    checked()
    n_asked, before = len(asked.asked), {path: path.read_bytes() for path in Path().glob("out*")}
    write("answers.jsonl", row(GOOD, prompt="No commas."), row(COMMA, prompt="No commas."))
    for flags in (("--max-new-tokens", "9"), ()):
        with pytest.raises(InputError, match="holds (rows of another judge|3 rows of another input)"):
            checked(*flags)
    assert len(asked.asked) == n_asked
    assert {path: path.read_bytes() for path in Path().glob("out*")} == before


@pytest.mark.parametrize("is_named", [True, False])
@pytest.mark.parametrize("n_changed", [1, 3])
def test_answers_whose_constraints_change_are_judged_again_however_many_they_are(
    no_model: None, n_changed: int, is_named: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    def judged() -> list[str]:
        flags = ("--tool", "constraints", "--verify", "strict", "--min-coverage", "0")
        score.main(parse(score.Config, ["answers.jsonl", *(("--out", "j.jsonl") if is_named else ()), *flags], "p"))
        [out] = [Path("j.jsonl")] if is_named else [p for p in Path("runs/scores").iterdir() if p.name.count(".") == 1]
        return sorted(str(judgment.score) for judgment in read_rows(out, Judgment))

    first = judged()
    fewer = {"instruction_id_list": IDS[1:], "kwargs": [{}]}
    texts = enumerate((GOOD, COMMA, NEITHER))
    write("answers.jsonl", *(row(text, **(fewer if number < n_changed else {})) for number, text in texts))
    assert judged() == sorted(["5.0", "5.0" if n_changed > 1 else "0.0", "0.0"])
    said = capsys.readouterr().err
    rows = "1 row" if n_changed == 1 else f"{n_changed} rows"
    assert f"{rows} on answers of answers.jsonl, judged with other constraints or references" in said
    assert "the answers are judged again" in said and "no longer gives" not in said
    write("answers.jsonl", *(row(text) for text in (GOOD, COMMA, NEITHER)))
    assert judged() == first and f"{rows} of this input again" in capsys.readouterr().err


def test_the_report_names_no_model_that_was_not_asked(no_model: None, capsys: pytest.CaptureFixture[str]) -> None:
    run("--verify", "strict")
    assert "judged by the constraints alone, on the rubric additive, 0 to 5" in capsys.readouterr().out


def test_the_scale_is_the_rubrics(no_model: None) -> None:
    assert [judgment.score for judgment in run("--verify", "strict", "--rubric", "single_10")] == [10, 1, 1]


def test_a_second_run_does_nothing_and_other_constraints_are_judged_anew(no_model: None) -> None:
    first = run("--verify", "strict")
    write("answers.jsonl", row(GOOD, instruction_id_list=["punctuation:no_coma"], kwargs=[{}]), row(COMMA))
    again = run("--verify", "strict")
    assert [judgment.score for judgment in again] == [0, None] and again[0] == first[1]
    assert "no checker for this kind" in str(again[1].error)


def test_a_limit_and_the_rest_make_the_same_rows_as_one_run(asked: ScriptedEngine) -> None:
    assert len(run("--limit", "1")) == 1
    whole = run()
    assert whole == run("--fresh") and len(whole) == 3


def test_the_model_names_the_constraints_if_it_is_asked_to(asked: ScriptedEngine) -> None:
    write("answers.jsonl", *({"prompt": PROMPT, "response": text} for text in (GOOD, COMMA)))
    rows = run("--constraints", "ask", "--verify", "share")
    assert [judgment.score for judgment in rows] == [5, 2.5] and len(asked.asked) == 1
    assert [judgment.usage.n_calls for judgment in rows] == [1, 0]
    write("answers.jsonl", *({"prompt": PROMPT, "response": text} for text in (GOOD, COMMA, f"{GOOD} too")))
    assert run("--constraints", "ask", "--verify", "share")[2].score == 5 and len(asked.asked) == 1, "it is known"


def test_failed_questions_leave_no_score_and_are_asked_again(asked: ScriptedEngine) -> None:
    well = asked.reply

    def failing(_: object) -> str:
        raise RuntimeError("call failed: 500")

    asked.reply = failing
    rows = run("--constraints", "ask", "--verify", "share")
    assert {judgment.error for judgment in rows} == {"the constraints could not be checked: call failed: 500"}
    asked.reply = well
    assert [judgment.score for judgment in run("--constraints", "ask", "--verify", "share")][-3:] == [5, 2.5, 0]


def test_a_file_of_constraints_is_joined_and_what_it_lacks_is_counted(
    no_model: None, capsys: pytest.CaptureFixture[str]
) -> None:
    write("answers.jsonl", {"prompt": PROMPT, "response": "a, b"}, {"prompt": "Other", "response": "a, b"})
    write("c.jsonl", row("", response=None), row("", response=None, prompt="Nobody answered this."))
    rows = run("--verify", "strict", "--constraints", "c.jsonl")
    assert [judgment.score for judgment in rows] == [0, None]
    assert rows[1].error == "no constraint can be checked: c.jsonl has no row on the prompt"
    said = capsys.readouterr().err
    assert "1 of 2 answers: c.jsonl has no row on the prompt" in said
    assert "1 prompt in c.jsonl without an answer here" in said


def test_unknown_kinds_are_said_once_with_the_nearest_name(no_model: None, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = {"instruction_id_list": ["punctuation:no_coma"], "kwargs": [{}]}
    write("answers.jsonl", *(row(text, **wrong, prompt=f"{text}?") for text in ("a", "b", "c")))
    run("--verify", "strict")
    said = capsys.readouterr().err
    [line] = [line for line in said.splitlines() if line.startswith("constraints:")]
    assert "punctuation:no_coma" in line and "punctuation:no_comma" in line and "(3 prompts)" in line


@pytest.mark.parametrize("rule", ["cap", "share", "strict"])
def test_a_field_of_another_shape_is_an_error_in_the_row(
    asked: ScriptedEngine, rule: str, capsys: pytest.CaptureFixture[str]
) -> None:
    values = ["punctuation:no_comma", [{"kind": "judgeloop:at_most_words", "num_words": 3}], [{"kind": IDS[0]}]]
    write("answers.jsonl", *({"prompt": PROMPT, "response": GOOD, "constraints": value} for value in values))
    rows = run("--verify", rule)
    assert [judgment.score for judgment in rows] == [None, None, 4 if rule == "cap" else 5]
    assert "the row's constraints cannot be read: 'constraints' must be a list" in str(rows[0].error)
    assert "unknown field 'num_words' beside 'kind': put it in 'kwargs'" in str(rows[1].error)
    assert "cannot be read: 'constraints' must be a list" in capsys.readouterr().err
    assert run("--verify", rule) == rows


def test_the_same_answer_with_other_constraints_is_judged_twice(no_model: None) -> None:
    own = ([{"kind": kind}] for kind in (*IDS, IDS[0]))
    write("answers.jsonl", *({"prompt": PROMPT, "response": COMMA, "constraints": form} for form in own))
    assert [judgment.score for judgment in run("--verify", "strict")] == [0, 5]


def test_flags_without_effect_are_named_in_one_line(asked: ScriptedEngine, capsys: pytest.CaptureFixture[str]) -> None:
    run("--verify", "share", "--corpus", "answers.jsonl", "--model", "m")
    line = "--corpus, --model, --read, --samples have no effect with --tool constraints --verify share"
    assert line in capsys.readouterr().err.splitlines()
    run("--fresh", "--corpus", "answers.jsonl", "--model", "m")
    assert "--corpus has no effect with --tool constraints --verify cap" in capsys.readouterr().err.splitlines()
    run("--fresh")
    assert "no effect" not in capsys.readouterr().err


def test_a_batch_and_a_panel_have_no_tools(asked: ScriptedEngine) -> None:
    with pytest.raises(InputError, match="a batch has no tools"):
        run("--export-batch", "b.jsonl")
    with pytest.raises(InputError, match="a panel has no tools"):
        run("--judge", "a@http://127.0.0.1:1/v1", "--judge", "b@http://127.0.0.1:1/v1")


def test_too_few_verdicts_are_no_fault_of_a_judge(no_model: None) -> None:
    write("answers.jsonl", {"prompt": PROMPT, "response": "a"})
    with pytest.raises(JudgeError, match="--verify cap keeps the rubric's score"):
        run("--verify", "strict", "--min-coverage", "0.9")


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"tool": "constraints", "verify": "f1"}, "--verify f1 counts claims, and --tool constraints checks none"),
        ({"tool": "arithmetic", "verify": "share"}, "--verify share is about constraints"),
        ({"tool": "arithmetic", "loose": True}, "--loose is about constraints"),
        ({"tool": "constraints", "constraints": "rows"}, "not row, not ask, and no such file"),
        ({"constraints": "ask"}, "--constraints alone goes with --tool constraints"),
        ({"verify": "strict"}, "--verify strict alone goes with --tool constraints"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, Any], why: str) -> None:
    options = EvidenceOptions(**settings)
    assert options.enabled
    with pytest.raises(InputError, match=why):
        check_options(options)


def evidence(*outcomes: Outcome | None, **fields: Any) -> Evidence:
    checked = [CheckedConstraint(kind="k", strict=o, loose=o, reason="no checker") for o in outcomes]
    counts = {"n_followed": outcomes.count("followed"), "n_broken": outcomes.count("broken")}
    own = {"id": "e", "response_id": "r", "prompt": "Q", "response": "A", "checker": "c", "usage": Usage()}
    return Evidence(**{**own, "tool": "constraints", "constraints": checked, **counts, **fields})


@pytest.mark.parametrize(
    ("outcomes", "scores"),
    [
        (("followed", "broken", None), {"cap": 3, "share": 3, "strict": None}),
        (("followed", None), {"cap": 4, "share": 5, "strict": None}),
        (("followed", "followed"), {"cap": 4, "share": 5, "strict": 5}),
        ((None,), {"cap": 4, "share": None, "strict": None}),
        ((), {"cap": 4, "share": None, "strict": None}),
    ],
)
def test_the_rules_on_a_scale_from_1_to_5(
    outcomes: tuple[Outcome | None, ...], scores: dict[VerifyRule, float | None]
) -> None:
    for rule, expected in scores.items():
        value, reason = verified_score(evidence(*outcomes), 4, 1, 5, rule)
        assert value == expected and (value is None) == (reason is not None)


def test_a_rule_that_does_not_fit_the_chosen_tool_gives_way_to_cap() -> None:
    assert verified_score(evidence("followed", "broken"), 4, 1, 5, "factscore") == (3, None)
    claim = CheckedClaim(claim="x", verdict="refuted")
    searched = evidence(tool="search", claims=[claim], n_refuted=1)
    assert verified_score(searched, 4, 1, 5, "strict") == (1, None)
    assert verified_score(evidence(tool="none"), 4, 1, 5, "strict") == (4, None)


def test_pairs_are_filtered_by_constraints() -> None:
    whole, half, none = evidence("followed", "followed"), evidence("followed", "broken"), evidence("broken", "broken")
    assert evidence_filter(whole, half, "more-supported") is None
    assert evidence_filter(half, none, "no-refuted") == "the chosen answer breaks 1 of 2 constraints"
    assert "follows no more constraints" in str(evidence_filter(whole, whole, "more-supported"))
    assert evidence_filter(evidence(None), evidence(None), "more-supported") is None
    assert "constraints could not be checked" in str(evidence_filter(evidence(error="500"), half, "no-refuted"))


def test_the_summary_has_claims_and_constraints_if_there_are_both() -> None:
    assert "followed" not in evidence_summary([evidence(tool="none")])
    both = evidence_summary([evidence(tool="none"), evidence("followed", "broken")])
    assert (both["none"], both["constraints"], both["followed"], both["broken"]) == (1, 1, 1, 1)


@pytest.mark.skipif(not (DATA / "ifeval").exists(), reason="needs shared/data/ifeval")
def test_ifeval_rows_are_scored_without_a_model(no_model: None) -> None:
    folder = DATA / "ifeval"
    flags = ["--tool", "constraints", "--verify", "share", "--constraints", str(folder / "input_data.jsonl")]
    source = str(folder / "gpt4_responses_checked.jsonl.gz")
    score.main(parse(score.Config, [source, "--out", "j.jsonl", "--min-coverage", "0.8", *flags], "prog"))
    rows = list(read_rows(Path("j.jsonl"), Judgment))
    checked = [c for row in rows for c in (row.evidence or {})["constraints"]]
    assert len(rows) == 540 and len(checked) == 832 and {c["kind"] for c in checked} <= set(known_kinds())
    n_followed = sum(c["strict"] == "followed" for c in checked)
    assert n_followed / sum(c["strict"] is not None for c in checked) == pytest.approx(0.8377, abs=0.03)
