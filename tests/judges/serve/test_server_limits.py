import json
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from console.errors import InputError
from judges.serve.options import Config, Limits
from judges.serve.serving import serve as run_server
from tests.conftest import ROOT
from tests.judges.serve.conftest import LengthJudge, Serve
from tests.openai_server import Server, completion

ROW = {"prompt": "Q", "response": "x"}


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"", 400, "the body is empty"),
        (b"nonsense", 400, "the body is no JSON object"),
        (b"[1]", 400, "the body is no JSON object"),
        (b'{"a": "\xff"}', 400, "the body is no JSON object"),
        (b"[" * 100_000, 400, "the body is no JSON object"),
        (b"x" * 9_000_000, 413, "a body has at most 8 MB"),
        (json.dumps({"rows": [ROW] * 1025}).encode(), 400, "1,025 rows in one request, 1,024 are the most"),
    ],
    ids=["nothing", "no JSON", "no object", "no UTF-8", "too deep", "too large", "too many rows"],
)
def test_a_body_that_is_nothing_or_too_much_is_refused(
    serve: Serve, engine: LengthJudge, body: bytes, status: int, said: str
) -> None:
    server = serve()
    for path in ("/score", "/reward", "/v1/decisions"):
        got, reply = server.post(path, body)
        if path != "/v1/decisions" or b"rows" not in body:
            assert got == status and said in reply["error"]["message"]
    assert not engine.asked and server.post("/score", ROW)[0] == 200


@pytest.mark.parametrize(
    ("path", "record"),
    [
        ("/score", {"prompt": "Q", "responses": ["x", "xx", "xxx"]}),
        ("/reward", {"prompt": "Q", "responses": ["x", "xx", "xxx"]}),
        ("/compare", {"prompt": "Q", "chosen": ["x", "xx"], "rejected": ["xxx", "xxxx"]}),
    ],
)
def test_the_answers_and_pairs_of_a_record_count_too(
    serve: Serve, engine: LengthJudge, path: str, record: dict[str, object]
) -> None:
    server = serve(limits=Limits(max_rows=2))
    for body in (record, {"rows": [record]}):
        status, reply = server.post(path, body)
        assert status == 400 and "more than 2 answers or pairs in one request" in reply["error"]["message"]
    assert not engine.asked


def test_a_wrong_row_is_named_by_its_place(serve: Serve) -> None:
    server = serve()
    for path, right in (("/score", ROW), ("/compare", {"prompt": "Q", "chosen": "x", "rejected": "xx"})):
        status, reply = server.post(path, {"rows": [right, {"prompt": "Q"}]})
        assert status == 400 and reply["error"]["message"].startswith("rows[1]: ")


def test_a_body_without_a_length_is_cut_off_at_the_limit(serve: Serve) -> None:
    import http.client

    server = serve(limits=Limits(max_body_mb=0.1))
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    pieces = (b"x" * 10_000 for _ in range(100))
    connection.request("POST", "/score", pieces, {"Content-Type": "application/json"}, encode_chunked=True)
    assert connection.getresponse().status == 413
    connection.close()


def test_a_browsers_form_and_an_unknown_path_are_refused(serve: Serve) -> None:
    server = serve()
    data = json.dumps(ROW).encode()
    assert server.ask("POST", "/score", data, {"Content-Type": "text/plain"})[0] == 415
    assert server.ask("GET", "/score", None, {})[0] == 405
    status, reply = server.ask("POST", "/scores", data, {"Content-Type": "application/json"})
    assert status == 404 and "there are POST /v1/decisions, /score" in reply["error"]["message"]


def test_too_many_requests_under_way_are_refused_and_none_is_lost(serve: Serve, engine: LengthJudge) -> None:
    server = serve(limits=Limits(max_requests=2))
    engine.open.clear()
    with ThreadPoolExecutor(2) as pool:
        under_way = [pool.submit(server.post, "/score", {**ROW, "prompt": f"Q{n}"}) for n in range(2)]
        while server.server.n_under_way < 2:
            time.sleep(0.002)
        status, reply = server.post("/score", ROW)
        assert status == 429 and "2 requests are under way" in reply["error"]["message"]
        engine.open.set()
        assert [done.result()[0] for done in under_way] == [200, 200]
    assert server.post("/score", ROW)[0] == 200


def test_a_server_with_a_key_answers_only_callers_that_have_it(serve: Serve) -> None:
    server = serve(key="secret")
    for headers in ({}, {"Authorization": "Bearer other"}, {"Authorization": "Bearer sécret"}):
        status, reply = server.get("/v1/models", **headers)
        assert status == 401 and "secret" not in json.dumps(reply)
    assert server.get("/metrics")[0] == 401 and server.get("/health")[0] == 200
    assert server.post("/score", ROW, Authorization="Bearer secret")[0] == 200


def test_a_stopping_server_takes_no_new_request_and_says_so(serve: Serve) -> None:
    server = serve()
    assert server.get("/health") == (200, {"status": "ok", "model": "length"})
    server.server.is_stopping = True
    assert server.post("/score", ROW)[0] == 503 and server.get("/health")[0] == 503


def test_other_machines_need_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for host in ("0.0.0.0", "192.168.1.5", "example.org", "::"):
        with pytest.raises(InputError, match="other machines can call it, so it needs a key"):
            run_server(Config(host=host))
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    with pytest.raises(InputError, match="--key-env NO_SUCH_KEY: this variable is not set"):
        run_server(Config(key_env="NO_SUCH_KEY"))


def test_a_port_in_use_is_told_before_a_model_is_loaded(serve: Serve, engine: LengthJudge) -> None:
    port = serve().port
    with pytest.raises(InputError, match=f"--port: port {port} on 127.0.0.1 is in use"):
        run_server(Config(port=port))
    assert not engine.asked
    with pytest.raises(InputError, match="--host 127.0.0.999"):
        run_server(Config(host="127.0.0.999", key_env="PATH"))


def test_the_command_answers_finishes_on_sigterm_and_exits_0(tmp_path: Path, server: Server) -> None:
    server.answer = lambda _: completion("Score: 5")
    judge = ["--model", "m", "--base-url", server.url, "--read", "text", "--samples", "1"]
    command = [sys.executable, "-m", "judges.serve", *judge, "--port", "0", "--json", "--out", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None and process.stderr is not None
        lines = iter(process.stdout.readline, "")
        told = ""
        for line in lines:
            told += line
            if line == "}\n":
                break
        ready = json.loads(told)
        import urllib.request

        body = {"prompt": "Q", "response": "x"}
        request = urllib.request.Request(
            f"{ready['url']}/reward", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request) as reply:
            assert json.load(reply) == {"rewards": [5.0], "errors": {}}
        # A caller that never sends the rest of its request does not hold the server up.
        half = socket.create_connection(("127.0.0.1", int(ready["url"].rpartition(":")[2])))
        half.sendall(b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{")
        process.terminate()
        assert process.wait(20) == 0 and "stopped: all requests are answered" in process.stderr.read()
        half.close()


def test_a_dry_run_names_the_judges_and_opens_nothing(
    engine: LengthJudge, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_server(Config(dry_run=True, json=True, out=tmp_path / "out"))
    plan = json.loads(capsys.readouterr().out)
    assert plan["models"] == ["length"] and set(plan["judges"][0]) == {"score", "compare"}
    assert not engine.asked and not (tmp_path / "out").exists()
    run_server(Config(dry_run=True, host="::1", out=tmp_path / "out"))
    assert "would serve length on http://[::1]:8300" in capsys.readouterr().out
