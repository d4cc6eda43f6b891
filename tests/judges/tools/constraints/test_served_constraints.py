"""IFEval's prompts judged by a served model that also names their constraints."""

import json
from pathlib import Path
from typing import Any

import pytest

from console.command import parse
from judges.score import __main__ as score
from records import Judgment, read_rows
from records.files import BadRows
from records.rows import Prompt
from records.shapes import read_prompts
from tests.conftest import DATA
from tests.openai_server import Body, Server, completion

pytestmark = pytest.mark.skipif(not (DATA / "ifeval").exists(), reason="needs shared/data/ifeval")
N = 6


@pytest.fixture
def prompts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Prompt]:
    """The first prompts of IFEval, with two answers each in answers.jsonl."""
    rows = list(read_prompts(DATA / "ifeval" / "input_data.jsonl", BadRows()))[:N]
    monkeypatch.chdir(tmp_path)
    lines = [
        {"prompt": row.prompt, "response": text} for row in rows for text in ("a, b and c", f"{row.prompt}\n\n<<t>> a")
    ]
    Path("answers.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return rows


def names(prompts: list[Prompt]) -> Any:
    """A model that names the constraints of a prompt, and one that it makes up; as a judge it gives 4."""

    def answer(body: Body) -> Any:
        content = body["messages"][0]["content"]
        if "One constraint a line" not in content:
            return completion("Score: 4")
        [row] = [row for row in prompts if str(row.prompt)[:80] in content]
        named = [{"kind": c.kind, **c.kwargs} for c in row.constraints or ()]
        invented = {"kind": "length_constraints:number_words", "relation": "less than", "num_words": 7}
        return completion("\n".join(json.dumps(item) for item in [*named, invented]))

    return answer


def run(server: Server, *flags: str) -> list[Judgment]:
    served = ("--model", "m", "--base-url", server.url, "--read", "text", "--samples", "1")
    argv = ["answers.jsonl", "--out", "j.jsonl", "--tool", "constraints", "--min-coverage", "0", *served, *flags]
    score.main(parse(score.Config, argv, "prog"))
    return list(read_rows(Path("j.jsonl"), Judgment))


def test_a_served_model_names_the_constraints_and_what_it_makes_up_is_left_out(
    server: Server, prompts: list[Prompt]
) -> None:
    server.answer = names(prompts)
    rows = run(server, "--constraints", "ask", "--verify", "share")
    assert len(rows) == 2 * N and len(server.asked) == N, "the rubric is not asked about, and each prompt once"
    named = {str(row.prompt): [c.kind for c in row.constraints or ()] for row in prompts}
    for row in rows:
        assert row.evidence is not None
        assert [c["kind"] for c in row.evidence["constraints"]] == named[str(row.prompt)]
        assert "left out length_constraints:number_words" in row.evidence["reason"]
    assert sum(row.usage.n_calls for row in rows) == N and any(row.score == 5 for row in rows)
    assert run(server, "--constraints", "ask", "--verify", "share") == rows and len(server.asked) == N


def test_the_rubrics_score_of_a_served_model_is_capped(server: Server, prompts: list[Prompt]) -> None:
    server.answer = names(prompts)
    rows = run(server, "--constraints", str(DATA / "ifeval" / "input_data.jsonl"))
    assert len(server.asked) == 2 * N
    for row in rows:
        assert row.evidence is not None and row.evidence["rubric_score"] == 4
        share = row.evidence["n_followed"] / (row.evidence["n_followed"] + row.evidence["n_broken"])
        assert row.score == pytest.approx(min(4, 5 * share))


def test_a_server_that_fails_leaves_no_score_and_is_asked_again(server: Server, prompts: list[Prompt]) -> None:
    well = names(prompts)

    def answer(body: Body) -> Any:
        fails = str(prompts[1].prompt)[:80] in body["messages"][0]["content"]
        return (400, {"error": {"message": "not today"}}) if fails else well(body)

    server.answer = answer
    rows = run(server, "--constraints", "ask", "--verify", "share")
    failed = [row for row in rows if row.score is None]
    assert [row.prompt for row in failed] == [prompts[1].prompt] * 2
    assert all("the constraints could not be checked" in str(row.error) for row in failed)
    server.answer, n_asked = well, len(server.asked)
    again = {row.id: row for row in run(server, "--constraints", "ask", "--verify", "share")}
    assert len(server.asked) == n_asked + 1 and all(row.score is not None for row in again.values())
