"""What evidence had been paid for when a server went away is kept, and not asked for again."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from console.command import parse
from console.errors import EngineError
from engines.protocol import Choice, Completion
from engines.scripted import ScriptedEngine
from judges.judging.judge import NOT_ASKED
from judges.score.__main__ import Config, main
from judges.tools.agent import open_agent
from judges.tools.options import EvidenceOptions
from judges.tools.rows import Evidence, had_evidence
from judges.tools.search.corpus import Passage
from records import Response, Store
from tests.judges.tools.test_agent import FACTS, POEM, SUM, WordSearch, judge, listing, response
from tests.openai_server import Server, completion, running, token

TEXTS = [FACTS, POEM, FACTS + " Truly.", " ", SUM]
N_CALLS = 4 + 2 + 2 * 2  # tools, claims, and two claims of each with a passage


class GoingAway(ScriptedEngine):
    """Answers so many calls, then is away."""

    def __init__(self, n: int, error: type[BaseException] = EngineError) -> None:
        super().__init__(reply=listing, logprobs=judge)
        self.left, self.error = n, error

    def generate(self, *args: Any) -> Iterator[Completion]:
        return self.while_there(super().generate(*args))

    def choose(self, *args: Any) -> Iterator[Choice]:
        return self.while_there(super().choose(*args))

    def while_there(self, answers: Iterator[Any]) -> Iterator[Any]:
        for answer in answers:
            if self.left == 0:
                raise self.error("the server is away")
            self.left -= 1
            yield answer


def gather_into(path: Path, engine: ScriptedEngine, rows: list[Response], search: Any = None) -> list[Evidence]:
    options = EvidenceOptions(corpus=Path("c"))
    agent = open_agent(engine, search or WordSearch(), options)
    ids = [agent.evidence_id(row) for row in rows]
    with Store(path, Evidence, keep=had_evidence) as store:
        for row in agent.gather(rows, store.ids, store.unfinished(ids)):
            store.append(row)
        return list(store.chosen(ids))


def without_cost(rows: list[Evidence]) -> list[Evidence]:
    return [replace(row, usage=rows[0].usage) for row in rows]


@pytest.mark.parametrize("error", [EngineError, KeyboardInterrupt])
@pytest.mark.parametrize("n", range(N_CALLS))
def test_after_a_stop_at_any_call_no_answered_call_is_made_again(
    tmp_path: Path, n: int, error: type[BaseException]
) -> None:
    rows = [response(text, number) for number, text in enumerate(TEXTS)]
    whole = gather_into(tmp_path / "whole.jsonl", GoingAway(N_CALLS), rows)
    first = GoingAway(n, error)
    with pytest.raises(error):
        gather_into(tmp_path / "evidence.jsonl", first, rows)
    second = GoingAway(N_CALLS - n)
    found = gather_into(tmp_path / "evidence.jsonl", second, rows)
    assert second.left == 0, "each call is paid for once"
    assert without_cost(found) == without_cost(whole) and all(map(had_evidence, found))
    assert [row.usage.n_calls for row in found] == [row.usage.n_calls for row in whole]


def test_what_was_not_come_to_is_no_evidence_and_says_why(tmp_path: Path) -> None:
    rows = [response(FACTS)]
    for n, claims, error in ((1, [], NOT_ASKED), (2, [None, None], None), (3, ["supported", None], None)):
        path = tmp_path / f"{n}.jsonl"
        with pytest.raises(EngineError):
            gather_into(path, GoingAway(n), rows)
        with Store(path, Evidence, keep=had_evidence) as store:
            [row] = store.rows()
            assert len(store.ids) == 0
        assert row.tool == "search" and [claim.verdict for claim in row.claims] == claims and row.error == error
        assert all(claim.reason == NOT_ASKED for claim in row.claims if claim.verdict is None)


class NoSearch(WordSearch):
    def search(self, queries: Sequence[str], k: int) -> list[list[Passage]]:
        raise EngineError("the search server is away")


def test_claims_that_could_not_be_looked_up_are_not_listed_again(tmp_path: Path) -> None:
    rows = [response(FACTS)]
    with pytest.raises(EngineError, match="search server"):
        gather_into(tmp_path / "e.jsonl", GoingAway(2), rows, NoSearch())
    engine = GoingAway(2)
    [row] = gather_into(tmp_path / "e.jsonl", engine, rows)
    assert engine.left == 0 and [claim.verdict for claim in row.claims] == ["supported", "refuted"]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.0005)
    with running() as found:
        yield found


def served(n: int) -> Callable[[dict[str, Any]], Any]:
    """Answer every call as the scripted engine does, the first `n` alone."""
    answered: list[int] = []

    def answer(body: dict[str, Any]) -> Any:
        text = body["messages"][-1]["content"]
        if len(answered) >= n:
            return 503, {"error": {"message": "away"}}
        answered.append(1)
        if "logprobs" not in body:
            return completion("- Rome is the capital of Italy.")
        word = "4" if "Score:" in text else "A"
        return completion(word, logprobs=[token(word, {word: -0.1, "B" if word == "A" else "3": -3.0})])

    return answer


def test_the_command_goes_on_after_an_outage_without_asking_anything_twice(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("c.jsonl").write_text('{"id": "it", "text": "Rome is the capital of Italy."}\n')
    rows = [{"id": f"r{n}", "prompt": f"q{n}", "response": f"Rome is the capital of Italy. {n}"} for n in range(6)]
    Path("a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    flags = ("--engine", "openai", "--model", "m", "--base-url", server.url, "--corpus", "c.jsonl")
    more = ("--max-failures-in-row", "3", "--concurrency", "1", "--out", "out.jsonl")

    def start(n: int) -> list[dict[str, Any]]:
        server.answer = served(n)
        main(parse(Config, ("a.jsonl", *flags, *more), "judges.score"))
        return [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]

    for n in (9, 6):  # in the claims, and in the verdicts on them
        with pytest.raises(EngineError, match="calls in a row failed"):
            start(n)
    found = start(10**6)
    assert len(found) == 6 and all(row["score"] is not None for row in found)
    n_good = sum(row["usage"]["n_calls"] - row["usage"]["n_failed"] for row in found)
    assert n_good == 6 * (1 + 1 + 1 + 1)
