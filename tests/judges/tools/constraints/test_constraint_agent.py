"""The agent with the constraints among its tools."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from pathlib import Path
from typing import Literal

import msgspec
import pytest

from engines.protocol import Request
from engines.scripted import ScriptedEngine
from judges.judging.judge import Judge
from judges.rubrics.rubric import load_rubric
from judges.tools.agent import Agent, open_agent
from judges.tools.options import EvidenceOptions
from judges.tools.rows import Evidence, had_evidence
from judges.tools.search.corpus import Passage
from records import Response
from records.rows import Constraint

COMMA = Constraint(kind="punctuation:no_comma")
LOWER = Constraint(kind="change_case:english_lowercase")
UNKNOWN = Constraint(kind="punctuation:no_coma")
CHECKED = EvidenceOptions(tool="constraints")
ASKED = EvidenceOptions(tool="constraints", constraints="ask")


@dataclass
class NoPassages:
    digest: str = "words"

    def search(self, queries: Sequence[str], k: int) -> list[list[Passage]]:
        return [[] for _ in queries]


def response(
    text: str, *constraints: Constraint, number: int = 0, prompt: str = "Write. Use no comma and only lowercase."
) -> Response:
    return Response(
        id=f"r{number}", prompt_id="p", prompt=prompt, response=text, model="m", constraints=list(constraints) or None
    )


def agent(options: EvidenceOptions = CHECKED, engine: ScriptedEngine | None = None) -> Agent:
    return open_agent(engine or ScriptedEngine(), NoPassages(), options)


def choosing(letter: str) -> ScriptedEngine:
    def logprobs(_: Request, choices: Sequence[str]) -> list[float]:
        return [log(0.9 if choice == letter else 0.02) for choice in choices]

    return ScriptedEngine(logprobs=logprobs, reply=lambda _: '{"kind": "punctuation:no_comma"}')


def test_each_constraint_has_its_outcome_and_a_reason() -> None:
    [row] = agent().gather([response("one, two", COMMA, LOWER, UNKNOWN)])
    assert (row.tool, row.constraints_from, row.error) == ("constraints", "row", None)
    assert [checked.strict for checked in row.constraints] == ["broken", "followed", None]
    assert "punctuation:no_comma" in row.constraints[2].reason, "the nearest name"
    counts = (row.n_followed, row.n_broken, row.n_not_checkable, row.n_followed_loose, row.n_broken_loose)
    assert counts == (1, 1, 1, 1, 1) and row.usage.n_calls == 0


def test_the_loose_reading_takes_the_best_variant() -> None:
    rows = [response("Sure, here it is:\na tea", COMMA)]
    [strict], [loose] = (agent(EvidenceOptions(tool="constraints", loose=o)).gather(rows) for o in (False, True))
    assert (strict.n_obeyed, strict.n_disobeyed) == (0, 1) and (loose.n_obeyed, loose.n_disobeyed) == (1, 0)
    assert strict.checker != loose.checker


def test_a_row_without_constraints_says_so() -> None:
    [row] = agent().gather([response("a")])
    assert (row.tool, row.constraints, row.reason) == ("constraints", [], "the row has no constraints")


def test_an_empty_answer_breaks_its_constraints() -> None:
    [row] = agent().gather([response(" ", COMMA)])
    assert (row.n_broken, row.error) == (1, None)


def test_the_model_is_offered_the_constraints_only_if_there_is_something_to_check() -> None:
    engine = choosing("C")
    rows = [response("a", COMMA, number=1), response("a", UNKNOWN, number=2), response("a", number=3)]
    tools = {row.response_id: row for row in agent(EvidenceOptions(corpus=Path("c")), engine).gather(rows)}
    assert [tools[f"r{n}"].tool for n in (1, 2, 3)] == ["constraints", "none", "none"]
    assert set(tools["r1"].tool_probabilities or ()) == {"search", "arithmetic", "constraints", "none"}
    assert set(tools["r3"].tool_probabilities or ()) == {"search", "arithmetic", "none"}


def test_the_models_choice_against_the_constraints_counts() -> None:
    [row] = agent(EvidenceOptions(corpus=Path("c")), choosing("D")).gather([response("a", COMMA)])
    assert (row.tool, row.constraints) == ("none", []) and row.reason == "no tool fits the answer"


@pytest.mark.parametrize(
    ("tool", "fingerprint", "evidence_id", "judge", "judgment_id"),
    [
        ("auto", "2005a4f4f0312c3d", "5d6b04c9e04e74f6", "85980cd7d799ce78", "1f0cd1f41c5cb1e6"),
        ("search", "15b6ed184fa55913", "05a9ef22986c2b2c", "c93ffc10081e8923", "49396356dc5bb403"),
        ("arithmetic", "0ff91fe21024a0f3", "9f6bdc76739da906", "5b86f48b6c1035f0", "0e0bc1f82f5886d6"),
    ],
)
def test_rows_without_constraints_keep_the_keys_that_they_had(
    tool: Literal["auto", "search", "arithmetic"], fingerprint: str, evidence_id: str, judge: str, judgment_id: str
) -> None:
    row = Response(id="r", prompt_id="p", prompt="Q", response="A", model="m")
    checking = agent(EvidenceOptions(corpus=Path("c"), tool=tool))
    plain = Judge(ScriptedEngine(), load_rubric("additive"), checked_by=f"{checking.fingerprint} cap 10")
    assert (checking.fingerprint, checking.evidence_id(row)) == (fingerprint, evidence_id)
    assert (plain.fingerprint, plain.judgment_id(row)) == (judge, judgment_id)
    assert checking.row_key(row) == plain.row_key(row)


def test_what_changes_an_outcome_changes_the_key() -> None:
    row, other = response("a", COMMA), response("a", LOWER)
    for options in (CHECKED, EvidenceOptions(corpus=Path("c"))):
        one = agent(options)
        assert one.evidence_id(row) != one.evidence_id(other) and one.row_key(row) != one.row_key(other)
    searching = agent(EvidenceOptions(corpus=Path("c"), tool="search"))
    assert searching.evidence_id(row) == searching.evidence_id(other), "the search does not read them"
    asked = [agent(ASKED, ScriptedEngine(digest=digest)).fingerprint for digest in ("x", "y")]
    checked = [agent(CHECKED, ScriptedEngine(digest=digest)).fingerprint for digest in ("x", "y")]
    assert len({*asked, *checked}) == 3, "no model takes part in the check of a row's own constraints"


def test_the_model_names_the_constraints_of_each_prompt_once() -> None:
    engine = ScriptedEngine(reply=lambda _: '{"kind": "punctuation:no_comma"}\n{"kind": "startend:quotation"}')
    rows = [response("a, b", number=1), response("a", number=2), response("a", number=3, prompt="Say no comma.")]
    found = list(agent(ASKED, engine).gather(rows))
    assert len(engine.asked) == 2 and [row.usage.n_calls for row in found] == [1, 0, 1]
    assert [[(c.kind, c.strict) for c in row.constraints] for row in found] == [
        [(COMMA.kind, outcome)] for outcome in ("broken", "followed", "followed")
    ]
    assert all(row.constraints_from == "ask" and "startend:quotation" in str(row.reason) for row in found)


def test_a_failed_call_is_no_prompt_without_constraints_and_is_asked_again() -> None:
    def failing(_: Request) -> str:
        raise RuntimeError("call failed: 500")

    engine = ScriptedEngine(reply=failing)
    asking = agent(ASKED, engine)
    first = list(asking.gather([response("a", number=1), response("a", number=2)]))
    assert [row.error for row in first] == ["call failed: 500"] * 2 and not any(map(had_evidence, first))
    engine.reply = lambda _: '{"kind": "punctuation:no_comma"}'
    again = list(asking.gather([response("a", number=1)], unfinished={first[0].id: first[0]}))
    assert again[0].n_followed == 1 and again[0].id == first[0].id and again[0].usage.n_calls == 2


def test_an_unreadable_reply_is_an_error_that_is_not_asked_about_again() -> None:
    [row] = agent(ASKED, ScriptedEngine(reply=lambda _: "Of course!")).gather([response("a")])
    assert row.error is not None and "Of course!" in row.error and had_evidence(row)


def test_the_model_may_be_offered_to_name_constraints_when_it_chooses_the_tool() -> None:
    options = EvidenceOptions(corpus=Path("c"), constraints="ask")
    [row] = agent(options, choosing("C")).gather([response("a, b")])
    assert (row.tool, row.n_broken, row.usage.n_calls) == ("constraints", 1, 2)


def test_a_file_has_the_constraints_by_prompt_or_by_id(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    lines = [
        {"prompt": "Tea?", "instruction_id_list": [COMMA.kind], "kwargs": [{}]},
        {"prompt": [{"role": "user", "content": "Milk?"}], "constraints": [{"kind": LOWER.kind}]},
        {"key": 7, "instruction_id_list": [LOWER.kind, COMMA.kind]},
    ]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    chat = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Tea?"}]
    rows = [
        msgspec.structs.replace(response("A, b", LOWER, number=n), prompt=prompt, prompt_id=prompt_id)
        for n, (prompt, prompt_id) in enumerate([("Tea?", "1"), (chat, "1"), ("Milk?", "2"), ("X", "7"), ("X", "8")])
    ]
    found = agent(EvidenceOptions(tool="constraints", constraints=str(path))).gather(rows)
    kinds = [[checked.kind for checked in row.constraints] for row in found]
    assert kinds == [[COMMA.kind], [COMMA.kind], [LOWER.kind], [LOWER.kind, COMMA.kind], []]


def test_rows_of_earlier_versions_are_read() -> None:
    old = {"id": "e", "response_id": "r", "prompt": "Q", "response": "A", "tool": "none", "checker": "c", "usage": {}}
    row = msgspec.convert(old, Evidence)
    assert row.constraints == [] and (row.n_obeyed, row.n_disobeyed) == (0, 0)
