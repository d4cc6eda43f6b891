import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import httpx2
import pytest
from msgspec.structs import replace

from console.command import parse
from console.errors import EngineError, InputError, JudgeError
from judges.batches import hosted, parts
from judges.compare.__main__ import main as compare
from judges.compare.options import Config as Compared
from judges.score.__main__ import main as score
from judges.score.options import Config
from records import Comparison, Judgment, Store, Usage
from records.store import read_rows
from tests.batch_server import BatchServer, running_batches
from tests.openai_server import completion

ANSWERS, OUT = Path("answers.jsonl"), Path("out.jsonl")
CHAT = "POST /v1/chat/completions"
TLS = cache(httpx2.create_ssl_context)
"""Read once, not for each of a hundred clients."""


class Killed(BaseException):
    """The process is killed here."""


@pytest.fixture
def batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BatchServer]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(hosted, "POLL_S", 0.0)
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.0005)
    monkeypatch.setattr("httpx2._transports.default.create_ssl_context", TLS)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    write(6)
    with running_batches() as found:
        found.answer = by_text
        yield found


def write(n: int) -> None:
    rows = [{"id": f"r{k}", "prompt": f"question {k}", "response": f"answer {k}"} for k in range(n)]
    ANSWERS.write_text("".join(json.dumps(row) + "\n" for row in rows))


def by_text(body: dict[str, Any]) -> tuple[int, Any]:
    return completion(f"Score: {sum(map(ord, body['messages'][-1]['content'])) % 5}")


def flags(server: BatchServer, *more: str) -> tuple[str, ...]:
    served = ("--engine", "openai", "--model", "m", "--base-url", server.url, "--read", "text", "--samples", "1")
    return (*served, "--out", str(OUT), "--min-coverage", "0", *more)


def scored(server: BatchServer, *more: str) -> dict[str, Judgment]:
    score(parse(Config, (str(ANSWERS), *flags(server, *more)), "judges.score"))
    return {row.response_id: replace(row, usage=Usage()) for row in read_rows(OUT, Judgment)}


def test_a_batch_is_sent_waited_for_and_read_and_gives_the_rows_of_calls(batches: BatchServer) -> None:
    found = scored(batches, "--batch")
    assert CHAT not in batches.paths and len(batches.batches) == 1 and len(found) == 6
    assert batches.batches[0]["endpoint"] == "/v1/chat/completions"
    OUT.unlink()
    assert scored(batches) == found and len({row.score for row in found.values()}) > 2


def test_a_batch_whose_rows_are_all_there_is_not_sent_again(batches: BatchServer) -> None:
    assert scored(batches, "--batch") == scored(batches, "--batch")
    assert len(batches.batches) == 1


def test_answers_that_come_later_are_the_only_ones_of_the_next_batch(batches: BatchServer) -> None:
    scored(batches, "--batch")
    write(8)
    assert len(scored(batches, "--batch")) == 8
    assert [len(batches.files[one["input_file_id"]].splitlines()) for one in batches.batches] == [6, 2]
    assert CHAT not in batches.paths


def killed_at(point: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kill the process right after its `point`th request, written state or stored row."""
    n = iter(range(10**6))

    def dying(original: Any, *, before: bool) -> Any:
        def call(*args: Any, **settings: Any) -> Any:
            if before and next(n) == point:
                raise Killed
            found = original(*args, **settings)
            if next(n) == point:
                raise Killed
            return found

        return call

    monkeypatch.setattr(httpx2.Client, "send", dying(httpx2.Client.send, before=False))
    monkeypatch.setattr(hosted._Hosted, "save", dying(hosted._Hosted.save, before=True))
    monkeypatch.setattr(Store, "append", dying(Store.append, before=True))
    monkeypatch.setattr(hosted, "rmtree", dying(hosted.rmtree, before=True))
    monkeypatch.setattr(hosted, "set_aside", dying(hosted.set_aside, before=True))


@pytest.mark.parametrize("step", [3, pytest.param(1, marks=pytest.mark.slow)])
def test_a_command_that_is_killed_anywhere_pays_once_and_gives_the_same_rows(
    batches: BatchServer, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    monkeypatch.setattr(parts, "MAX_REQUESTS", 4)  # two batches
    expected = scored(batches, "--batch")
    assert len(batches.batches) == 2
    for point in range(0, 200, step):
        for path in sorted(Path().iterdir()):
            if path.name.startswith("out"):
                hosted.rmtree(path) if path.is_dir() else path.unlink()
        batches.batches.clear()
        with monkeypatch.context() as kill:
            killed_at(point, kill)
            try:
                rows = scored(batches, "--batch")
            except Killed:
                rows = {}
        if rows:
            break
        assert scored(batches, "--batch") == expected, point
        assert len(batches.batches) == 2, point
    assert 40 < point < 199 and CHAT not in batches.paths


@pytest.mark.parametrize("lost", ["POST /v1/batches", "POST /v1/files", "GET /v1/batches/batch_0", "GET /v1/batches"])
def test_a_lost_reply_is_no_second_batch(batches: BatchServer, lost: str) -> None:
    batches.lost.add(lost)
    assert len(scored(batches, "--batch")) == 6 and not batches.lost
    assert len(batches.batches) == 1


def test_calls_that_fail_in_a_batch_have_a_reason_and_are_asked_again_by_the_next_one(batches: BatchServer) -> None:
    batches.answer = lambda body: (
        (400, {"error": {"message": "too long"}}) if "answer 0" in body["messages"][-1]["content"] else by_text(body)
    )
    found = scored(batches, "--batch")
    assert found["r0"].score is None and "too long" in str(found["r0"].error)
    batches.answer = by_text
    assert scored(batches, "--batch")["r0"].score is not None
    assert [len(batches.files[one["input_file_id"]].splitlines()) for one in batches.batches] == [6, 1]


def test_an_expired_batch_keeps_its_answers_and_the_next_start_asks_for_the_rest(batches: BatchServer) -> None:
    batches.ends_as, batches.n_answered = "expired", 2
    found = scored(batches, "--batch")
    assert sum(row.score is not None for row in found.values()) == 2
    assert "expired" in str(found["r5"].error)
    batches.ends_as, batches.n_answered = "completed", None
    assert all(row.score is not None for row in scored(batches, "--batch").values())
    assert [len(batches.files[one["input_file_id"]].splitlines()) for one in batches.batches] == [6, 4]


def test_a_batch_that_is_refused_is_named_with_the_servers_reason(batches: BatchServer) -> None:
    batches.ends_as = "failed"
    with pytest.raises(EngineError, match="refuses the batch batch_0: no such model; nothing was paid"):
        scored(batches, "--batch")
    assert not read(OUT)
    batches.ends_as = "completed"
    assert len(scored(batches, "--batch")) == 6 and len(batches.batches) == 2


def read(path: Path) -> list[Judgment]:
    return list(read_rows(path, Judgment)) if path.exists() else []


@pytest.mark.parametrize(
    ("refused", "said"),
    [((404, "no such path"), r"has no batches \(no such path\); write the calls with --export-batch"),
     ((401, "bad key sk-secret-key"), r"401: bad key \*\*\*; the same command goes on")],
)  # fmt: skip
def test_a_server_without_batches_or_with_another_key_is_one_line(
    batches: BatchServer, refused: tuple[int, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-key")
    batches.refused = refused
    with pytest.raises(EngineError, match=said):
        scored(batches, "--batch")


def test_a_batch_of_comparisons_gives_the_rows_of_calls(batches: BatchServer) -> None:
    batches.answer = lambda body: completion(f"Better: {'AB'[len(body['messages'][-1]['content']) % 2]}")
    other = Path("other.jsonl")
    other.write_text(ANSWERS.read_text().replace("answer", "another answer"))
    for batch in (("--batch",), ()):
        compare(parse(Compared, (str(ANSWERS), str(other), *flags(batches, *batch)), "judges.compare"))
        rows = [replace(row, usage=Usage()) for row in read_rows(OUT, Comparison)]
        OUT.unlink()
        if batch:
            expected = rows
            assert len(batches.batches) == 1 and CHAT not in batches.paths and len(rows) == 6
    assert sorted(rows, key=str) == sorted(expected, key=str)


def test_a_batch_is_no_part_of_a_panel_or_of_another_batch(batches: BatchServer) -> None:
    with pytest.raises(InputError, match="give one of --batch"):
        scored(batches, "--batch", "--export-batch", "b.jsonl")
    with pytest.raises(InputError, match="a batch is of one judge"):
        scored(batches, "--batch", "--judge", f"m@{batches.url}", "--judge", f"n@{batches.url}")
    assert not batches.paths


def test_a_batch_of_another_judge_is_not_read_as_this_ones(
    batches: BatchServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as kill:
        kill.setattr(hosted._Hosted, "_wait", lambda *_: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            scored(batches, "--batch")
    OUT.unlink(missing_ok=True)
    with pytest.raises(InputError, match="has a batch of another judge"):
        scored(batches, "--batch", "--temperature", "0.3")
    assert len(scored(batches, "--batch")) == 6 and len(batches.batches) == 1


def test_too_few_verdicts_of_a_batch_end_the_command_as_those_of_calls_do(batches: BatchServer) -> None:
    batches.answer = lambda _: completion("nothing")
    with pytest.raises(JudgeError, match="min-coverage"):
        scored(batches, "--batch", "--min-coverage", "0.9")


PAGE, PART = b"<html>oops</html>", b'{"custom_id": "x", "response": {"status_code": 200}}\n{"custom_id": "y", "resp'


@pytest.mark.parametrize("pages", [[PAGE], [PART], [b""], [PAGE, PART]])
def test_a_broken_download_is_made_again(batches: BatchServer, pages: list[bytes]) -> None:
    batches.pages = pages
    found = scored(batches, "--batch")
    assert all(row.score is not None for row in found.values()) and len(found) == 6 and len(batches.batches) == 1


def test_the_same_command_downloads_again_what_only_a_page_came_of(batches: BatchServer) -> None:
    batches.pages = [PAGE] * hosted.DOWNLOADS
    with pytest.raises(
        EngineError, match="gives '<html>oops</html>' in place of .* the same command downloads it again"
    ):
        scored(batches, "--batch")
    assert len(scored(batches, "--batch")) == 6 and len(batches.batches) == 1 and CHAT not in batches.paths


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(PAGE)])
def test_an_output_that_is_lost_or_broken_on_disk_is_downloaded_again(
    batches: BatchServer, damage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as kill:
        kill.setattr("judges.batches.files.Answers", lambda *_: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            scored(batches, "--batch")
    [output] = Path("out.jsonl.batch").glob("output-*")
    damage(output)
    assert len(scored(batches, "--batch")) == 6 and len(batches.batches) == 1


def test_an_output_that_the_server_has_no_more_is_named_with_what_to_do(batches: BatchServer) -> None:
    poll = batches.polled

    def without_files(batch: dict[str, Any]) -> dict[str, Any]:
        found = poll(batch)
        batches.files.pop(found.get("output_file_id", ""), None)
        return found

    batches.polled = without_files  # type: ignore[method-assign]
    with pytest.raises(EngineError, match="has no file file-batch_0-output.* move out.jsonl.batch away"):
        scored(batches, "--batch")
    assert len(batches.batches) == 1
