from collections.abc import Sequence
from dataclasses import dataclass, field
from math import log
from pathlib import Path

import pytest
from msgspec.structs import replace

from console.errors import EngineError
from engines.protocol import Request
from engines.scripted import ScriptedEngine
from judges.tools.agent import WINDOW, Agent, gather, open_agent
from judges.tools.options import EvidenceOptions
from judges.tools.rows import Evidence, had_evidence
from judges.tools.scores import verified_score
from judges.tools.search.corpus import Passage
from records import Response, Store

FACTS = "Rome is the capital of Italy. The Moon is made of cheese."
SUM = "I get 12 * 7 = 85."
POEM = "Roses are red, violets are blue."
WORLD = [
    Passage("it", "Rome is the capital of Italy.", "Italy"),
    Passage("moon", "The Moon is made of rock, not cheese.", "Moon"),
]


@dataclass
class WordSearch:
    """Finds the passages that share their subject with the query."""

    digest: str = "words"
    asked: list[list[str]] = field(default_factory=list)

    def search(self, queries: Sequence[str], k: int) -> list[list[Passage]]:
        self.asked.append(list(queries))
        return [[p for p in WORLD if (p.title or "") in query][:k] for query in queries]


def judge(request: Request, choices: Sequence[str]) -> Sequence[float]:
    content = request.messages[0]["content"]
    material = content.partition("<")[2]
    if request.prefill == "Tool: ":
        answer = "B" if "12 * 7" in material else "C" if "Roses" in material else "A"
    else:
        answer = "B" if "not cheese" in material else "A" if "Rome" in material else "C"
    return [log(0.8 if choice == answer else 0.05) for choice in choices]


def listing(request: Request) -> str:
    return "- Rome is the capital of Italy.\n- The Moon is made of cheese.\n"


def engine(**fields: object) -> ScriptedEngine:
    return ScriptedEngine(reply=listing, logprobs=judge, **fields)  # type: ignore[arg-type]


def response(text: str, number: int = 0) -> Response:
    return Response(id=f"r{number}", prompt_id="p", prompt="Tell me about Italy.", response=text, model="m")


def gathered(
    *texts: str, options: EvidenceOptions | None = None, asked: ScriptedEngine | None = None
) -> list[Evidence]:
    rows = [response(text, number) for number, text in enumerate(texts)]
    return list(gather(asked or engine(), rows, WordSearch(), options or EvidenceOptions(corpus=Path("c"))))


def test_facts_are_looked_up_claim_by_claim_and_the_deciding_passage_is_quoted() -> None:
    (row,) = gathered(FACTS + " Venus has no moon. And Italy?")
    assert row.tool == "search" and row.claims_from == "model" and row.error is None
    assert [(c.claim, c.verdict) for c in row.claims] == [
        ("Rome is the capital of Italy.", "supported"),
        ("The Moon is made of cheese.", "refuted"),
    ]
    quote = row.claims[1].quote
    assert quote is not None and (quote.passage_id, quote.title) == ("moon", "Moon")
    assert quote.text == "The Moon is made of rock, not cheese."
    assert (row.n_supported, row.n_refuted, row.n_not_enough, row.n_unchecked) == (1, 1, 0, 0)
    assert row.tool_probabilities == pytest.approx({"search": 8 / 9, "arithmetic": 1 / 18, "none": 1 / 18})
    assert row.usage.n_calls == 4, "one for the tool, one for the claims, one for each claim and passage"


def test_each_answer_gets_the_tool_that_fits_it() -> None:
    rows = gathered(FACTS, SUM, POEM)
    assert [row.tool for row in rows] == ["search", "arithmetic", "none"]
    assert [(c.claim, c.verdict) for c in rows[1].claims] == [("12 * 7 = 85", "refuted")]
    assert rows[1].claims_from == "equations"
    assert rows[2].claims == [] and rows[2].reason == "no tool fits the answer"
    assert rows[2].usage.n_calls == 1


def test_arithmetic_is_for_answers_with_something_to_work_out() -> None:
    def always_arithmetic(request: Request, choices: Sequence[str]) -> Sequence[float]:
        return [log(p) for p in (0.01, 0.04, 0.02)] if request.prefill == "Tool: " else judge(request, choices)

    rows = gathered(POEM, SUM, asked=ScriptedEngine(reply=listing, logprobs=always_arithmetic))
    assert [row.tool for row in rows] == ["none", "arithmetic"]
    assert all(row.error is None for row in rows), "which tool comes first is known, however little it is liked"


def test_a_tool_that_a_flag_names_is_not_asked_about() -> None:
    asked = engine()
    rows = gathered(POEM, SUM, options=EvidenceOptions(tool="arithmetic"), asked=asked)
    assert [row.tool for row in rows] == ["arithmetic"] * 2 and asked.asked == []
    assert rows[0].tool_probabilities is None and rows[0].reason is not None


def test_sentences_can_be_the_claims_at_no_cost() -> None:
    options = EvidenceOptions(corpus=Path("c"), claims="sentences", tool="search")
    (row,) = gathered("Rome is the capital of Italy. It is old and big.", options=options)
    assert row.claims_from == "sentences" and row.reason is None
    assert [c.verdict for c in row.claims] == ["supported", "not enough"]
    assert row.claims[1].reason == "no passage was found"
    assert row.usage.n_calls == 1


def test_an_empty_answer_is_no_answer_and_costs_nothing() -> None:
    asked = engine()
    (row,) = gathered("  \n", asked=asked)
    assert row.error == "the response is empty" and row.tool is None and asked.asked == []
    assert had_evidence(row)


def test_a_failed_call_is_an_error_that_is_tried_again() -> None:
    def fail(_: Request) -> str:
        raise RuntimeError("call failed: busy")

    (row,) = gathered(FACTS, asked=ScriptedEngine(reply=fail, logprobs=judge))
    assert row.error == "call failed: busy" and row.claims == [] and not had_evidence(row)


def test_the_claims_of_a_window_are_searched_and_verified_together() -> None:
    search = WordSearch()
    rows = [response(f"{FACTS} Number {n} of many.", n) for n in range(WINDOW + 1)]
    options = EvidenceOptions(corpus=Path("c"))
    assert len(list(gather(engine(), rows, search, options))) == WINDOW + 1
    assert [len(queries) for queries in search.asked] == [2 * WINDOW, 2]


def test_a_stopped_run_goes_on_and_gives_the_same_rows(tmp_path: Path) -> None:
    rows = [response(text, n) for n, text in enumerate([FACTS, SUM, POEM, "", FACTS + " More."])]
    options = EvidenceOptions(corpus=Path("c"))
    whole = list(gather(engine(), rows, WordSearch(), options))
    path = tmp_path / "evidence.jsonl"
    with Store(path, Evidence, keep=had_evidence) as store:
        for row in whole[:3]:
            store.append(row)
    asked = engine()
    with Store(path, Evidence, keep=had_evidence) as store:
        for row in gather(asked, rows, WordSearch(), options, store.ids):
            store.append(row)
        assert list(store.rows()) == whole
    assert len(asked.asked) == 4, "the tool, the claims and two stances of the last answer alone"


def test_a_search_that_fails_stops_the_work() -> None:
    class Broken(WordSearch):
        def search(self, queries: Sequence[str], k: int) -> list[list[Passage]]:
            raise EngineError("the server is gone")

    with pytest.raises(EngineError, match="the server is gone"):
        list(gather(engine(), [response(FACTS)], Broken(), EvidenceOptions(corpus=Path("c"))))


def agent(options: EvidenceOptions | None = None, digest: str = "e", corpus: str = "words") -> Agent:
    return open_agent(engine(digest=digest), WordSearch(corpus), options or EvidenceOptions())


def test_the_fingerprint_follows_whatever_changes_a_verdict() -> None:
    same = [agent(), agent(EvidenceOptions(corpus=Path("elsewhere"))), agent(EvidenceOptions(verify="f1"))]
    assert len({one.fingerprint for one in same}) == 1, "where it lies and what is made of it change no verdict"
    others = [
        agent(digest="f"), agent(corpus="other"), agent(EvidenceOptions(k=1)), agent(EvidenceOptions(tool="search")),
        agent(EvidenceOptions(claims="sentences")), agent(EvidenceOptions(max_claims=3)),
    ]  # fmt: skip
    assert len({one.fingerprint for one in [agent(), *others]}) == 1 + len(others)


def failing(*calls: int) -> ScriptedEngine:
    """An engine whose choices of these numbers fail, as a server's do."""
    from collections.abc import Collection, Iterator

    from engines.protocol import Choice

    class Failing(ScriptedEngine):
        n = 0

        def choose(
            self, requests: Sequence[Request], choices: Sequence[str], done: Collection[int] = ()
        ) -> Iterator[Choice]:
            for choice in super().choose(requests, choices, done):
                self.n += 1
                bad = self.n - 1 in calls
                yield Choice(choice.index, (), error="call failed: 400: no", n_failed=1) if bad else choice

    return Failing(reply=listing, logprobs=judge)


@pytest.mark.parametrize(
    ("call", "n_asked_again"), [(0, 4), (1, 1), (2, 1)], ids=["the tool", "the first claim", "the last claim"]
)
def test_the_next_run_asks_only_for_what_failed_and_ends_as_an_undisturbed_one(
    tmp_path: Path, call: int, n_asked_again: int
) -> None:
    rows, options, path = [response(FACTS)], EvidenceOptions(corpus=Path("c")), tmp_path / "evidence.jsonl"
    [whole] = gather(engine(), rows, WordSearch(), options)
    with Store(path, Evidence, keep=had_evidence) as store:
        for row in gather(failing(call), rows, WordSearch(), options, store.ids):
            store.append(row)
            assert not had_evidence(row) and verified_score(row, 4.0, 0, 5, "cap")[0] is None
            paid = row.usage
    asked = engine()
    with Store(path, Evidence, keep=had_evidence) as store:
        agent = open_agent(asked, WordSearch(), options)
        [again] = agent.gather(rows, store.ids, store.unfinished([agent.evidence_id(rows[0])]))
    assert len(asked.asked) == n_asked_again and had_evidence(again)
    assert again.usage.n_calls == paid.n_calls + n_asked_again
    assert replace(again, usage=whole.usage) == whole


def test_a_claim_is_not_settled_while_one_of_its_passages_could_not_be_asked_about() -> None:
    search = WordSearch()
    search.search = lambda queries, k: [WORD_TWICE for _ in queries]  # type: ignore[method-assign]
    options = EvidenceOptions(corpus=Path("c"), claims="sentences", tool="search")
    [row] = gather(failing(1), [response("Rome is the capital of Italy.")], search, options)
    [claim] = row.claims
    assert claim.verdict is None and claim.reason == "call failed: 400: no" and claim.passages[0].stance == "supported"
    assert verified_score(row, 4.0, 0, 5, "cap") == (None, "1 of 1 claims could not be checked: call failed: 400: no")


WORD_TWICE = [WORLD[0], Passage("it2", "Rome is the capital of Italy, not cheese.", "Italy")]
