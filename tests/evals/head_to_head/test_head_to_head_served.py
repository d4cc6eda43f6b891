"""A head-to-head of models on a server: what is no answer is none, and workers make the results of one process."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from console.command import parse
from console.errors import InputError
from evals.head_to_head.__main__ import main
from evals.head_to_head.options import Config
from records import Comparison, Response, read_rows
from tests.openai_server import Server, completion, token

N = 4
MISSING = 2
"""The question that the model `small` does not answer."""


def answer(body: dict[str, Any]) -> Any:
    """Answer as the model, and as the judge prefer the answer of the large model, wherever it is shown."""
    text = body["messages"][-1]["content"]
    if body["model"] == "judge":
        share = 0.2 if text.index("large says") < text.index("small says") else 0.8
        return completion("b", logprobs=[token("b", {"b": math.log(share), "a": math.log(1 - share)})])
    if body["model"] == "small" and text == f"question {MISSING}":
        return completion(None, "content_filter")
    return completion(f"{body['model']} says {text}")


@pytest.fixture
def server(server: Server) -> Server:
    server.answer = answer
    return server


def compared(server: Server, folder: Path, *words: str) -> dict[str, Any]:
    prompts = folder.parent / "prompts.jsonl"
    prompts.write_text("".join(json.dumps({"prompt": f"question {n}"}) + "\n" for n in range(N)), encoding="utf-8")
    flags = ("--prompts", str(prompts), "--judge-model", "judge", "--out", str(folder), "--min-coverage", "0.5")
    main(parse(Config, (*words, *flags), "evals.head_to_head"))
    found: dict[str, Any] = json.loads((folder / "head_to_head.json").read_text(encoding="utf-8"))
    return found


def test_a_reply_that_is_no_answer_has_no_verdict_and_is_asked_for_again(server: Server, tmp_path: Path) -> None:
    words = ("large", "small", "--base-url", server.url)
    (pair,) = compared(server, tmp_path / "out", *words)["pairs"]
    assert (pair["wins"], pair["losses"], pair["unscored"]) == (N - 1, 0, 1)
    assert pair["win_rate"]["value"] == pytest.approx(0.8)
    assert pair["reasons"] == {"a model gave no answer": 1}
    server.answer = lambda body: answer(body) if body["model"] == "judge" else completion("small says so at last")
    server.asked.clear()
    (pair,) = compared(server, tmp_path / "out", *words)["pairs"]
    assert (pair["wins"], pair["unscored"]) == (N, 0)
    assert sorted(body["model"] for body in server.asked) == ["judge", "judge", "small"]


def test_each_model_may_be_on_a_server_of_its_own(server: Server, tmp_path: Path) -> None:
    on_server = [f"{name}@{server.url}" for name in ("large", "small")]
    found = compared(server, tmp_path / "out", *on_server, "--judge-base-url", server.url)
    assert [model["name"] for model in found["models"]] == ["large", "small"]
    assert found["pairs"][0]["wins"] == N - 1


def test_a_dry_run_asks_the_server_nothing_and_counts_what_is_there(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("large", "small", "--base-url", server.url)
    compared(server, tmp_path / "out", *words)
    server.asked.clear()
    capsys.readouterr()
    compared(server, tmp_path / "out", *words, "--dry-run", "--json")
    found = capsys.readouterr()
    assert json.loads(found.out)["answers_there"] == {"large": N, "small": N - 1} and not server.asked
    with pytest.raises(FileNotFoundError):  # there is no result, because nothing was done
        compared(server, tmp_path / "new", *words, "--dry-run")
    assert "large: its server" not in capsys.readouterr().err


def test_a_toml_file_names_a_model_and_its_engine_and_no_judge(server: Server, tmp_path: Path) -> None:
    large, odd = tmp_path / "large.toml", tmp_path / "odd.toml"
    large.write_text(f'model = "large"\nbase_url = "{server.url}"\n')
    odd.write_text('model = "large"\nrubric = "pairwise_5"\n')
    found = compared(server, tmp_path / "out", str(large), f"small@{server.url}", "--judge-base-url", server.url)
    assert [model["name"] for model in found["models"]] == ["large", "small"]
    with pytest.raises(InputError, match="odd.toml: only the settings of an engine differ by model"):
        compared(server, tmp_path / "out", str(odd), f"small@{server.url}", "--judge-base-url", server.url)


@pytest.mark.usefixtures("workers")
def test_workers_make_the_results_of_one_process(server: Server, tmp_path: Path) -> None:
    words = ("large", "small", "--base-url", server.url)
    alone = compared(server, tmp_path / "one", *words)
    assert compared(server, tmp_path / "two", *words, "--workers", "2") == alone
    for name, kind in (("large/responses", Response), ("comparisons", Comparison)):
        one, two = ({row.id for row in read_rows(tmp_path / at / f"{name}.jsonl", kind)} for at in ("one", "two"))
        assert one == two and one
