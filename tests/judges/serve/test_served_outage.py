"""A served judge whose own server fails for a while."""

from pathlib import Path

from engines.options import EngineOptions
from judges.options import JudgeOptions
from judges.serve.options import Config
from tests.judges.serve.running import running
from tests.openai_server import Server, completion


def test_a_judge_answers_again_once_its_server_does(server: Server, tmp_path: Path) -> None:
    engine = EngineOptions(model="m", base_url=server.url)
    row = {"prompt": "Q", "response": "x"}
    with running(Config(engine=engine, judge=JudgeOptions(read="text", samples=1), out=tmp_path)) as judge:
        server.answer = lambda _: completion("Score: 4")
        assert judge.post("/reward", row) == (200, {"rewards": [4.0], "errors": {}})
        server.answer = lambda _: (401, {"error": {"message": "no such key"}})
        rows = {"rows": [{"prompt": "Q", "response": f"{n}"} for n in range(40)]}
        for _ in range(2):
            status, reply = judge.post("/score", rows)
            nulls = [one["score"] for one in reply.get("judgments", ())]
            assert status == 503 or nulls == [None] * 40  # the engine gives up, or each call has failed
        server.answer = lambda _: completion("Score: 2")
        assert judge.post("/reward", row | {"response": "y"}) == (200, {"rewards": [2.0], "errors": {}})
        assert judge.post("/reward", row) == (200, {"rewards": [4.0], "errors": {}})  # stored
