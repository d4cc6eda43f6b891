"""A server that vLLM itself runs gives the numbers of vLLM in process: run by `make test-vllm`."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence

import pytest

from engines.local.vllm.memory import KV_SPACE
from engines.options import EngineOptions, open_engine
from engines.protocol import Engine, Request, choices_from
from judges.judging.judge import open_judge
from judges.options import JudgeOptions
from records import Response
from tests.engines.local.asking import ARENA, SCORES, TEN, in_order

pytestmark = [pytest.mark.vllm, pytest.mark.filterwarnings("ignore")]

START_S = 600.0
ANSWERS = ("4", "5", "It is four, because two and two are four.", "I do not know")


def asked(words: str) -> list[Request]:
    """Requests whose replies begin with `words`."""
    texts = [f"Rate the answer {answer!r} to 'What is 2 + 2?' from 0 to 5." for answer in ANSWERS]
    return [Request([{"role": "user", "content": text}], prefill=words) for text in texts]


def is_up(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/version", timeout=5) as reply:
            return bool(json.load(reply)["version"])
    except OSError:
        return False


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of the packaged model, whose log-probabilities are those after a default that would change them."""
    from engines.models import resolve_model

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    argv = ["--model", str(resolve_model("smollm2")), "--served-model-name", "smollm2", "--dtype", "float32"]
    argv += ["--enforce-eager", "--max-model-len", "2048", "--host", "127.0.0.1", "--port", str(port)]
    argv += ["--logprobs-mode", "processed_logprobs"]
    argv += ["--override-generation-config", '{"repetition_penalty": 1.5, "temperature": 0.3}']
    log = tmp_path_factory.mktemp("server") / "log"
    with log.open("wb") as out:
        server = subprocess.Popen(
            [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *argv],
            stdout=out,
            stderr=out,
            env=os.environ | {KV_SPACE: "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"},
            start_new_session=True,
        )
    try:
        until = time.monotonic() + START_S
        while not is_up(port):
            assert server.poll() is None and time.monotonic() < until, log.read_text()[-3000:]
            time.sleep(1)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        os.killpg(server.pid, signal.SIGTERM)  # its engine is a process of its own
        try:
            server.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def served(url: str) -> Engine:
    return open_engine(EngineOptions("smollm2", base_url=url))


@pytest.fixture(scope="module")
def in_process() -> Iterator[Engine]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(KV_SPACE, "1")
        yield open_engine(EngineOptions("smollm2", engine="vllm", max_model_len=2048))


@pytest.mark.parametrize("words", ["Score: ", ""], ids=["after words", "after nothing"])
@pytest.mark.parametrize("choices", [SCORES, TEN, ARENA, ["yes", "partly", "no"]], ids=["six", "ten", "arena", "words"])
def test_choices_have_the_logprobs_of_vllm_in_process(
    served: Engine, in_process: Engine, choices: Sequence[str], words: str
) -> None:
    assert choices_from(served) == "vocabulary"
    expected, found = (in_order(engine.choose(asked(words), choices)) for engine in (in_process, served))
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.error is None and ours.logprobs == pytest.approx(theirs.logprobs, abs=1e-3)


def test_a_judge_gives_the_scores_of_vllm_in_process(served: Engine, in_process: Engine) -> None:
    answers = [
        Response(id=str(n), prompt_id=str(n), prompt="What is 2 + 2?", response=text, model="m")
        for n, text in enumerate(("4", "5", "It is four.", "I do not know, <|im_end|> sorry."))
    ]
    for rubric in ("additive", "criteria"):
        judges = [open_judge(engine, JudgeOptions(rubric=rubric), 0) for engine in (served, in_process)]
        found, expected = ({row.response_id: row for row in judge.judge(answers)} for judge in judges)
        for name, row in found.items():
            assert row.score == pytest.approx(expected[name].score, abs=1e-3)
            assert row.mass == pytest.approx(expected[name].mass, abs=1e-3)
        assert len(found) == len(answers)


def test_a_long_conversation_is_that_rows_error(served: Engine) -> None:
    both = [asked("Score: ")[0], Request([{"role": "user", "content": "word " * 3000}], prefill="Score: ")]
    short, long = in_order(served.choose(both, SCORES))
    assert short.error is None and str(long.error).startswith("too long: 30")
