"""Ids in other people's files are not unique: nothing is dropped, joined or grouped by an id alone."""

import json
from pathlib import Path
from typing import Any

import pytest

from console.command import parse
from engines.scripted import ScriptedEngine
from judges.best_of import __main__ as best_of
from judges.cluster import __main__ as cluster
from judges.compare import __main__ as compare_command
from judges.score import __main__ as score
from records import Comparison, Judgment, Usage, read_rows
from records.files import BadRows
from records.shapes import read_prompts
from records.store import write_rows
from tests.judges.opened import patch_open_engine

TEXTS = ("Oslo", "Lima", "Rome")
WORTH = {"Oslo": 1, "Lima": 3, "Rome": 5}


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ScriptedEngine:
    """A judge that gives each answer what it is worth."""

    def reply(request: Any) -> str:
        return next(f"Score: {WORTH[text]}" for text in TEXTS if text in request.messages[0]["content"])

    found = ScriptedEngine(reply=reply)
    patch_open_engine(monkeypatch, lambda _: found)
    monkeypatch.chdir(tmp_path)
    return found


def write(path: str, rows: list[dict[str, Any]]) -> None:
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in rows))


def scored(*flags: str, out: str = "j.jsonl") -> list[Judgment]:
    arguments = ["answers.jsonl", "--out", out, "--read", "text", "--samples", "1", *flags]
    score.main(parse(score.Config, arguments, "prog"))
    return list(read_rows(Path(out), Judgment))


ANSWERS: list[dict[str, Any]] = [{"id": "q1", "prompt": "Q", "response": text, "model": "m"} for text in TEXTS]


@pytest.mark.parametrize("more", [{}, {"prompt_id": "p"}, {"question_id": 7}])
def test_answers_that_share_an_id_are_all_judged(more: dict[str, Any]) -> None:
    write("answers.jsonl", [row | more for row in ANSWERS])
    assert [(row.response, row.score) for row in scored()] == [("Oslo", 1), ("Lima", 3), ("Rome", 5)]


def test_the_same_id_and_texts_again_is_a_repeat(capsys: pytest.CaptureFixture[str]) -> None:
    write("answers.jsonl", [*ANSWERS, *ANSWERS[:2]])
    assert len(scored()) == 3
    assert "2 of 5 responses repeat another one and count once" in capsys.readouterr().err


def test_two_models_that_gave_the_same_answer_under_one_id_are_two_rows(capsys: pytest.CaptureFixture[str]) -> None:
    write("answers.jsonl", [ANSWERS[0] | {"model": name} for name in ("m", "n")])
    assert [(row.model, row.score) for row in scored("--json")] == [("m", 1), ("n", 1)]
    assert [row["responses"] for row in json.loads(capsys.readouterr().out)["models"]] == [1, 1]


@pytest.mark.parametrize("kind", ["judgments", "their own"])
def test_rewards_in_another_file_go_to_their_own_answers(kind: str) -> None:
    write("answers.jsonl", ANSWERS)
    if kind == "judgments":
        scored()
    else:
        write("j.jsonl", [row | {"score": WORTH[row["response"]]} for row in reversed(ANSWERS)])
    flags = ["answers.jsonl", "--rewards", "j.jsonl", "--equivalence", "exact", "--gamma", "0", "--out", "c.jsonl"]
    cluster.main(parse(cluster.Config, flags, "prog"))
    [row] = [json.loads(line) for line in Path("c.pairs.jsonl").read_text().splitlines()]
    assert row["chosen_score"] == WORTH[row["chosen"][0]["content"]]
    assert row["rejected_score"] == WORTH[row["rejected"][0]["content"]]


def test_answers_that_share_an_id_and_a_prompt_are_votes_of_their_own() -> None:
    write("answers.jsonl", [row | {"prompt_id": "p"} for row in [*ANSWERS, ANSWERS[0]]])
    flags = ["answers.jsonl", "--equivalence", "exact", "--gamma", "0", "--out", "c.jsonl"]
    cluster.main(parse(cluster.Config, flags, "prog"))
    [row] = [json.loads(line) for line in Path("c.jsonl").read_text().splitlines()]
    assert row["n_answers"] == 3, "the one that repeats another counts once"


def test_the_best_of_answers_that_share_an_id_is_the_best() -> None:
    write("answers.jsonl", ANSWERS)
    scored()
    for file, out in (("j.jsonl", "of_judgments.jsonl"), ("answers.jsonl", "of_answers.jsonl")):
        flags = [file, "--out", out, *([] if file == "j.jsonl" else ["--read", "text", "--samples", "1"])]
        best_of.main(parse(best_of.Config, flags, "prog"))
        assert [json.loads(line)["response"] for line in Path(out).read_text().splitlines()] == ["Rome"]


def judgment(text: str, reply: str, judge: str) -> Judgment:
    return Judgment(
        id=f"{judge} {text}", response_id="q1", prompt_id="p", prompt="Q", response=text, model="m", score=1.0,
        scores=[1.0], replies=[reply], error=None, spread=None, rubric="additive", judge=judge, usage=Usage(),
        read="text",
    )  # fmt: skip


def test_judgments_of_two_judges_are_compared_answer_by_answer(engine: ScriptedEngine) -> None:
    engine.reply = lambda _: "Better: A"
    for name in ("a", "b"):
        write_rows(Path(f"{name}.jsonl"), [judgment(text, f"{name} on {text}", name) for text in TEXTS])
    flags = ["a.jsonl", "b.jsonl", "--rubric", "meta_judge", "--read", "text", "--out", "c.jsonl"]
    compare_command.main(parse(compare_command.Config, flags, "prog"))
    rows = list(read_rows(Path("c.jsonl"), Comparison))
    assert [(row.judged, row.response_a, row.response_b) for row in rows] == [
        (text, f"a on {text}", f"b on {text}") for text in TEXTS
    ]


def test_prompts_that_share_an_id_get_one_each_and_a_repeat_keeps_it() -> None:
    write("p.jsonl", [{"id": "q1", "prompt": text} for text in ("Oslo", "Lima", "Oslo")])
    first, second, again = read_prompts("p.jsonl", BadRows())
    assert (first.id, again.id) == ("q1", "q1") and second.id.startswith("q1-") and second.prompt == "Lima"
    assert [row.id for row in read_prompts("p.jsonl", BadRows())] == [first.id, second.id, again.id]


def test_prompts_that_differ_in_their_system_turn_are_two() -> None:
    write("p.jsonl", [{"id": "q1", "prompt": "Oslo", "system": text} for text in ("be kind", "be brief")])
    assert len({row.id for row in read_prompts("p.jsonl", BadRows())}) == 2
