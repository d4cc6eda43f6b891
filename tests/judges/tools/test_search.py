import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from console.errors import EngineError, InputError
from judges.tools.options import EvidenceOptions
from judges.tools.search import dense
from judges.tools.search.bm25 import open_bm25
from judges.tools.search.corpus import Passage
from judges.tools.search.passages import Passages, open_passages
from judges.tools.search.remote import HTTPSearch, open_function
from judges.tools.search.search import HybridSearch, fuse, open_search
from tests.openai_server import moved, running, trickle

TEXTS = [
    "The Moon orbits the Earth once a month.",
    "Paris is the capital of France.",
    "The capital of Italy is Rome, a city of fountains.",
    "Water boils at a hundred degrees.",
    "A cat sleeps most of the day.",
]


@pytest.fixture
def passages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Passages:
    monkeypatch.setenv("JUDGELOOP_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "corpus.jsonl"
    path.write_text("".join(json.dumps({"id": str(n), "text": text}) + "\n" for n, text in enumerate(TEXTS)))
    return open_passages(path)


def ids(found: list[list[Passage]]) -> list[list[str]]:
    return [[passage.id for passage in some] for some in found]


def test_bm25_ranks_by_shared_words_and_gives_nothing_for_none(passages: Passages) -> None:
    found = open_bm25(passages).search(["What is the capital of France?", "quantum chromodynamics", "", "the of"], 3)
    assert ids(found) == [["1", "2"], [], [], []]
    assert found[0][0].score > found[0][1].score > 0  # type: ignore[operator]


def test_bm25_scores_are_those_of_the_formula(passages: Passages) -> None:
    (found,) = open_bm25(passages).search(["france"], 1)
    words = [5, 3, 5, 4, 4]  # what is left of each text after the stop words and single letters
    n, f, k1, b = len(words), 1, 1.5, 0.75
    idf = np.log(1 + (n - f + 0.5) / (f + 0.5))
    expected = idf * 1 / (1 + k1 * (1 - b + b * words[1] / np.mean(words)))
    assert found[0].score == pytest.approx(expected, rel=1e-4)


def test_the_bm25_index_is_built_once_and_memory_mapped(passages: Passages, capsys: pytest.CaptureFixture[str]) -> None:
    first = open_bm25(passages)
    capsys.readouterr()
    second = open_bm25(passages)
    assert capsys.readouterr().err == ""
    assert isinstance(second.index.scores["data"], np.memmap)
    assert first.digest == second.digest and first.search(["rome"], 2) == second.search(["rome"], 2)


class WordEncoder:
    """Gives each word of a small vocabulary a direction of its own."""

    def __init__(self) -> None:
        self.n_encoded = 0
        self.vocabulary = {word: n for n, word in enumerate(["moon", "paris", "rome", "water", "cat", "capital"])}

    def encode(self, texts: list[str], **_: Any) -> Any:
        self.n_encoded += len(texts)
        vectors = np.full((len(texts), len(self.vocabulary)), 0.01, dtype=np.float32)
        for row, text in enumerate(texts):
            for word, column in self.vocabulary.items():
                vectors[row, column] += word in text.lower()
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture
def encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WordEncoder:
    (tmp_path / "encoder").mkdir()
    (tmp_path / "encoder" / "config.json").write_text("{}")
    encoder = WordEncoder()
    monkeypatch.setattr(dense, "load_encoder", lambda name: encoder)
    monkeypatch.setattr(dense, "SHARD_PASSAGES", 2)
    return encoder


def test_dense_search_finds_the_nearest_over_all_shards(
    passages: Passages, encoder: WordEncoder, tmp_path: Path
) -> None:
    search = dense.open_dense(passages, str(tmp_path / "encoder"))
    assert [shard.shape for shard in search.shards] == [(2, 6), (2, 6), (1, 6)]
    assert all(isinstance(shard, np.memmap) and shard.dtype == np.float16 for shard in search.shards)
    queries = ["a capital like rome", "the cat", "paris capital"]
    found = search.search(queries, 3)
    cosines = encoder.encode(queries) @ encoder.encode(TEXTS).T
    for row, some in enumerate(found):
        best = np.argsort(-cosines[row], kind="stable")[:3]
        assert [p.score for p in some] == pytest.approx(cosines[row][best], abs=2e-3)
    assert [some[0].id for some in found] == ["2", "4", "1"]
    assert search.search([], 3) == []


def test_what_is_embedded_already_is_not_embedded_again(
    passages: Passages, encoder: WordEncoder, tmp_path: Path
) -> None:
    name = str(tmp_path / "encoder")
    whole = dense.open_dense(passages, name).search(["rome"], 5)
    (shard,) = (tmp_path / "cache").rglob("000000002.npy")
    shard.unlink()  # as if the first run had been stopped before it
    encoder.n_encoded = 0
    again = dense.open_dense(passages, name)
    assert encoder.n_encoded == 2
    assert again.search(["rome"], 5) == whole


def test_fusion_adds_reciprocal_ranks() -> None:
    one = [Passage("a", "A"), Passage("b", "B"), Passage("c", "C")]
    two = [Passage("c", "C"), Passage("d", "D"), Passage("b", "B")]
    fused = fuse([one, two])
    assert [(p.id, p.score) for p in fused] == [
        ("c", pytest.approx(1 / 63 + 1 / 61)),
        ("b", pytest.approx(1 / 62 + 1 / 63)),
        ("a", pytest.approx(1 / 61)),
        ("d", pytest.approx(1 / 62)),
    ]


class Fixed:
    def __init__(self, digest: str, names: str) -> None:
        self.digest, self.names = digest, names

    def search(self, queries: Sequence[str], k: int) -> list[list[Passage]]:
        return [[Passage(name, name) for name in self.names][:k] for _ in queries]


def test_a_hybrid_looks_further_down_than_it_gives() -> None:
    search = HybridSearch((Fixed("1", "abcdefgx"), Fixed("2", "x")))
    assert ids(search.search(["q", "r"], 2)) == [["x", "a"], ["x", "a"]]
    assert search.digest != HybridSearch((Fixed("1", ""), Fixed("3", ""))).digest


def serving(replies: list[tuple[int, Any]], asked: list[Any]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            status, body = replies.pop(0)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body if isinstance(body, bytes) else json.dumps(body).encode())

        def log_message(self, *_: object) -> None:
            return

    return Handler


@contextmanager
def server(replies: list[tuple[int, Any]]) -> Iterator[tuple[HTTPSearch, list[Any]]]:
    asked: list[Any] = []
    httpd = HTTPServer(("127.0.0.1", 0), serving(replies, asked))
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield HTTPSearch(f"http://127.0.0.1:{httpd.server_port}/search", timeout_s=5, first_wait_s=0.0), asked
    finally:
        httpd.shutdown()
        thread.join()
        httpd.server_close()


def test_a_search_server_is_asked_and_its_passages_come_back() -> None:
    reply = [[{"id": 3, "title": "T", "text": "Found.", "score": 0.5, "extra": 1}, {"text": "No id."}], []]
    with server([(200, reply)]) as (search, asked):
        found = search.search(["one", "two"], 2)
    assert asked == [{"queries": ["one", "two"], "k": 2}]
    assert found[0][0] == Passage("3", "Found.", "T", None, 0.5)
    assert len(found[0][1].id) == 16 and found[1] == []


def test_a_passing_fault_of_the_server_is_tried_again() -> None:
    with server([(503, {}), (429, {}), (200, [[{"text": "At last."}]])]) as (search, asked):
        assert search.search(["q"], 1)[0][0].text == "At last."
    assert len(asked) == 3


@pytest.mark.parametrize(
    ("replies", "message"),
    [
        ([(404, {})], "in 1 attempts: HTTP 404"),
        ([(500, {})] * 4, "in 4 attempts: HTTP 500"),
        ([(200, b"<html>")] * 4, "in 4 attempts: the body of the reply is no whole JSON: <html>"),
        ([(200, b"[" * 100_000)], "in 1 attempts: the reply is nested too deeply"),
        ([(200, {"error": {"message": "no index", "code": "404"}})], "in 1 attempts: HTTP 404: no index"),
        ([(200, {"error": {"message": "busy", "code": 503}})] * 4, "in 4 attempts: HTTP 503: busy"),
        ([(302, {})], "in 1 attempts: HTTP 302: the server sends calls elsewhere"),
        ([(200, {"results": []})], "not a list of passages for each query"),
        ([(200, [[{"title": "no text"}]])], "missing required field `text`"),
        ([(200, [[], []])], "1 queries were asked and 2 lists came back"),
    ],
)
def test_a_server_that_gives_no_passages_is_an_error(replies: list[tuple[int, Any]], message: str) -> None:
    with server(replies) as (search, _), pytest.raises(EngineError, match=message):
        search.search(["q"], 1)


def test_no_server_is_an_error_that_names_the_address() -> None:
    with pytest.raises(EngineError, match="http://127.0.0.1:9/: the search server gave no answer in 4 attempts"):
        HTTPSearch("http://127.0.0.1:9/", timeout_s=1, first_wait_s=0.0).search(["q"], 1)


@pytest.mark.parametrize(
    "url", ["http://ann:{key}@127.0.0.1:9/s", "http://127.0.0.1:9/s?key={key}", "http://ann:{key}@127.0.0.1:port/s"]
)
def test_no_secret_of_a_search_servers_address_is_told(url: str) -> None:
    keys = ("sk-verysecret", "sk-anothersecret")
    searches = [HTTPSearch(url.format(key=key), timeout_s=1, first_wait_s=0.0) for key in keys]
    with pytest.raises(EngineError, match="the search server gave no answer") as caught:
        searches[0].search(["q"], 1)
    assert keys[0] not in str(caught.value) and "***" in str(caught.value) and keys[0] not in repr(searches)
    assert searches[0].digest == searches[1].digest


def test_a_search_server_that_trickles_is_left_and_one_that_moved_is_followed_with_the_call() -> None:
    with running() as found:
        found.answer = lambda _: trickle((200, [[{"text": "Late."}]]), 0.05)
        started = time.monotonic()
        with pytest.raises(EngineError, match=r"no whole reply within 0.2 s"):
            HTTPSearch(f"{found.url}/search", timeout_s=0.2, first_wait_s=0.0).search(["q"], 1)
        assert time.monotonic() - started < 2
        found.paths.clear()
        found.answer = lambda _: (
            moved(307, "/v2/search?key=x") if found.paths[-1] == "/v1/search?key=y" else (200, [[{"text": "There."}]])
        )
        assert HTTPSearch(f"{found.url}/search?key=y").search(["q"], 1)[0][0].text == "There."
        assert found.paths == ["/v1/search?key=y", "/v2/search?key=x"] and found.asked[-1] == {"queries": ["q"], "k": 1}


def test_a_function_of_ones_own_can_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_search.py").write_text(
        "def find(queries, k):\n    return [[{'id': q, 'text': q.upper()}] * 9 for q in queries]\n"
        "def broken(queries, k):\n    raise KeyError('boom')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    search = open_search(EvidenceOptions(search="my_search:find"))
    assert search is not None
    assert [p.text for p in search.search(["a", "b"], 2)[1]] == ["B", "B"]
    with pytest.raises(EngineError, match="the search function failed: KeyError: 'boom'"):
        open_function("my_search:broken").search(["a"], 1)
    with pytest.raises(InputError, match="has no function 'gone'"):
        open_function("my_search:gone")
    with pytest.raises(InputError, match="cannot be imported"):
        open_function("no_such_module_here:find")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (EvidenceOptions(), "--search bm25 needs --corpus"),
        (EvidenceOptions(corpus=Path("c"), k=0), "k must be at least 1"),
        (EvidenceOptions(corpus=Path("c"), verifier="nli"), "--verifier nli needs --nli-model"),
        (EvidenceOptions(corpus=Path(__file__).parent, search="bm52"), "no search 'bm52'; give bm25, dense, hybrid"),
    ],
)
def test_wrong_settings_say_what_to_give(options: EvidenceOptions, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_search(options)


def test_arithmetic_alone_needs_no_search() -> None:
    options = EvidenceOptions(tool="arithmetic")
    assert options.enabled and open_search(options) is None
    assert not EvidenceOptions().enabled


def test_a_right_passage_of_real_claims_is_among_the_first_ten(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUDGELOOP_CACHE", str(tmp_path))
    from records.files import BadRows, read_records

    corpus = data / "factcheck" / "claim_evidence_stance.jsonl.gz"
    right: dict[str, set[str]] = {}
    for _, row in read_records(corpus, BadRows(strict=True)):
        if row["stance"] != "irrelevant":
            right.setdefault(row["claim"], set()).add(" ".join(row["evidence"].split()))
    found = open_bm25(open_passages(corpus)).search(list(right), 10)
    hits = [any(p.text in right[claim] for p in some) for claim, some in zip(right, found, strict=True)]
    assert len(hits) == 469 and np.mean(hits) == pytest.approx(0.904, abs=0.005)
