"""The alpaca-eval package's own annotators, asked of a server: its prompts, its order, its parser."""

import gzip
import json
import math
from pathlib import Path
from random import Random
from typing import Any

import pytest

from console.command import parse
from console.errors import EngineError, InputError, JudgeError
from evals.alpaca.__main__ import main
from evals.alpaca.annotators.configs import annotator_config, annotator_names
from evals.alpaca.annotators.replies import AnnotatorReply
from evals.alpaca.options import Config
from records import read_rows
from tests.openai_server import Server, completion, token

NAME = "weighted_alpaca_eval_gpt4_turbo"
N = 12


def switched(instruction: str) -> bool:
    """Whether the package shows the model's answer first."""
    return Random(f"is_switched_outputs{instruction}0").choices([False, True], k=1)[0]


class Annotating:
    """A server of the evaluated model and of an annotator that prefers `m` with probability 0.9."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.failing: set[str] = set()
        self.odd: dict[str, Any] = {}
        server.answer = self.answer

    def answer(self, body: dict[str, Any]) -> Any:
        text = body["messages"][-1]["content"]
        if "Model Outputs" not in text:
            return completion(f"answer to {text}")
        instruction = text.partition('"instruction": """')[2].partition('"""')[0]
        if instruction in self.failing:
            return 400, {"error": {"message": f"no reply to {instruction}"}}
        if instruction in self.odd:
            return self.odd[instruction]
        tops = {"m": math.log(0.9), "M": math.log(0.05), "Both": math.log(0.01)}
        return completion("m", logprobs=[token("m", tops)])

    @property
    def asked(self) -> list[dict[str, Any]]:
        return [body for body in self.server.asked if "Model Outputs" in body["messages"][-1]["content"]]


@pytest.fixture
def annotating(server: Server) -> Annotating:
    return Annotating(server)


def run(server: Server, folder: Path, *more: str, rows: list[dict[str, Any]] | None = None) -> list[dict[str, Any]]:
    reference = folder / "reference.json"
    usual = [{"instruction": f"question {n}", "output": f"base {n}", "generator": "base"} for n in range(N)]
    reference.write_text(json.dumps(rows or usual), encoding="utf-8")
    flags = ["--model", "fake", "--base-url", server.url, "--reference", str(reference), "--out", str(folder / "out")]
    flags += ["--annotator", NAME, "--judge-base-url", server.url, "--min-coverage", "0", *more]
    main(parse(Config, flags, "evals.alpaca"))
    found: list[dict[str, Any]] = json.loads((folder / "out" / "annotations.json").read_text(encoding="utf-8"))
    return found


def test_the_preference_is_the_package_s_in_the_package_s_order(annotating: Annotating, tmp_path: Path) -> None:
    rows = run(annotating.server, tmp_path)
    assert len(annotating.asked) == N and {row["annotator"] for row in rows} == {NAME}
    for number, row in enumerate(rows):
        shown = 1 + 0.05 / 0.95  # the first one shown is preferred: 1 + P(M) / (P(m) + P(M)) on the scale from 1 to 2
        assert row["preference"] == pytest.approx(3 - shown if switched(f"question {number}") else shown)
    sent = annotating.asked[0]
    assert (sent["model"], sent["max_tokens"], sent["top_logprobs"]) == ("gpt-4-1106-preview", 1, 5)
    assert [message["role"] for message in sent["messages"]] == ["system", "user"]
    assert {row["output_2"] for row in rows} == {f"answer to question {n}" for n in range(N)}


WITH_REPLIES = ["NullModel", "OpenHermes-2.5-Mistral-7B", "alpaca-7b", "gemma-7b-it", "gpt-3.5-turbo-1106",
                "text_davinci_001", "text_davinci_003", "vicuna-13b-v1.5"]  # fmt: skip


@pytest.mark.parametrize(
    ("model", "n_rows"),
    [
        ("gemma-7b-it", 60),
        *(pytest.param(name, 799, marks=pytest.mark.slow) for name in ("gemma-7b-it", *WITH_REPLIES)),
    ],
)
def test_published_raw_replies_give_the_published_preferences(
    server: Server, tmp_path: Path, data: Path, model: str, n_rows: int
) -> None:
    with gzip.open(data / "alpaca_eval" / "ae2_annotations" / f"{model}.json.gz") as file:
        rows = [row for row in json.load(file) if row["raw_completion"] and row["output_2"].strip()]
    assert len(rows) >= n_rows
    rows = rows if n_rows == 799 else rows[:n_rows]
    published = {row["instruction"]: row for row in rows}

    def answer(body: dict[str, Any]) -> Any:
        text = body["messages"][-1]["content"]
        if text in published:
            return completion(published[text]["output_2"])
        instruction = text.partition('"instruction": """')[2].partition('""",\n}')[0]
        reply = published[instruction]["raw_completion"]
        return completion(reply["text"], logprobs=reply["logprobs"])

    server.answer = answer
    reference = [{"instruction": row["instruction"], "output": row["output_1"], "generator": "gpt4_1106_preview"}
                 for row in rows]  # fmt: skip
    found = {row["instruction"]: row["preference"] for row in run(server, tmp_path, rows=reference)}
    assert len(found) == len(rows) >= n_rows
    assert found == pytest.approx({text: row["preference"] for text, row in published.items()}, abs=1e-9)


def test_what_failed_or_has_no_preference_is_null_and_asked_again(
    annotating: Annotating, tmp_path: Path, capsys: Any
) -> None:
    annotating.failing = {"question 3"}
    annotating.odd = {"question 4": completion("x", logprobs=[token("x", {"x": -0.1})])}
    rows = run(annotating.server, tmp_path)
    assert [row["instruction"] for row in rows if row["preference"] is None] == ["question 3", "question 4"]
    assert rows[3]["error"] == "the annotator gave no preference"
    assert "1 calls failed" in (told := capsys.readouterr().err) and "no reply to question 3" in told
    annotating.failing, annotating.odd = set(), {}
    annotating.server.asked.clear()
    again = run(annotating.server, tmp_path)
    assert len(annotating.asked) == 2 and all(row["preference"] is not None for row in again)
    replies = list(read_rows(tmp_path / "out" / f"annotator-{NAME}.jsonl", AnnotatorReply))
    assert len(replies) == N and all(reply.preferences[0] is not None for reply in replies)
    annotating.server.asked.clear()
    assert run(annotating.server, tmp_path) == again and annotating.asked == []


def test_every_call_failing_is_an_error_and_nulls_everywhere_fail_the_gate(
    annotating: Annotating, tmp_path: Path
) -> None:
    annotating.failing = {f"question {n}" for n in range(N)}
    with pytest.raises(JudgeError, match="0 of 12 prompts have a verdict"):
        run(annotating.server, tmp_path)
    annotating.server.answer = lambda body: (401, {"error": {"message": "wrong key"}})
    with pytest.raises(EngineError, match="the server refuses every call"):
        run(annotating.server, tmp_path)


def test_another_model_than_the_annotator_s_own_gives_it_another_name(annotating: Annotating, tmp_path: Path) -> None:
    rows = run(annotating.server, tmp_path, "--judge-model", "local")
    assert {row["annotator"] for row in rows} == {f"{NAME}@local"}
    assert {body["model"] for body in annotating.asked} == {"local"}


def test_a_ranking_annotator_and_one_of_the_user_work_alike(annotating: Annotating, tmp_path: Path) -> None:
    annotating.odd = {
        f"question {n}": completion("[{'model': 'model_1', 'rank': 1}, {'model': 'model_2', 'rank': 2}]")
        for n in range(N)
    }
    annotating.server.answer = lambda body: (
        annotating.odd["question 0"] if len(body["messages"]) > 1 else completion("an answer")
    )
    rows = run(annotating.server, tmp_path, "--annotator", "alpaca_eval_gpt4")
    assert {row["preference"] for row in rows} == {1.0, 2.0} and rows[0]["annotator"] == "alpaca_eval_gpt4"
    folder = tmp_path / "mine"
    (folder / "judge").mkdir(parents=True)
    (folder / "judge" / "prompt.txt").write_text(
        "<|im_start|>system\nJudge.\n<|im_end|>\n<|im_start|>user\n{instruction}: {output_1} {output_2}\n<|im_end|>"
    )
    (folder / "judge" / "configs.yaml").write_text(
        "mine:\n  prompt_template: judge/prompt.txt\n  completions_kwargs:\n    model_name: m\n"
        "  fn_completion_parser: ranking_parser\n"
    )
    own = run(annotating.server, tmp_path, "--annotator", str(folder / "judge"))
    assert {row["annotator"] for row in own} == {"judge"} and all(row["preference"] for row in own)


def test_equal_answers_are_a_draw_without_a_call(annotating: Annotating, tmp_path: Path) -> None:
    rows = [
        {"instruction": f"question {n}", "output": f"answer to question {n}", "generator": "base"} for n in range(3)
    ]
    made = run(annotating.server, tmp_path, rows=rows)
    assert [row["preference"] for row in made] == [1.5] * 3 and annotating.asked == []


def test_a_dry_run_asks_nothing(annotating: Annotating, tmp_path: Path, capsys: Any) -> None:
    with pytest.raises(FileNotFoundError):
        run(annotating.server, tmp_path, "--dry-run")
    assert f"annotator: {NAME}" in (printed := capsys.readouterr().out) and "annotator calls: 12" in printed
    assert annotating.server.asked == []


# configurations


def test_every_annotator_of_the_package_is_usable_or_says_why_not() -> None:
    usable, refused = [], {}
    for name in annotator_names():
        try:
            usable.append(annotator_config(name).name)
        except InputError as error:
            refused[name] = str(error)
    assert NAME in usable and "alpaca_eval_gpt4" in usable and len(usable) > 20
    assert "asks with 'anthropic_completions'" in refused["claude"]
    assert all("\n" not in reason for reason in refused.values())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("weighted_alpaca_eval_gpt4_turbos", f"do you mean {NAME}"),
        ("nope", "no such annotator, folder or YAML file; the nearest names are"),
        ("text_davinci_003", "needs the tokenizer|is no chat"),
    ],
)
def test_an_annotator_that_is_not_there_or_cannot_be_asked(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        annotator_config(name)


def test_an_annotator_needs_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(InputError, match="give the server that it is asked of, with --judge-base-url"):
        main(parse(Config, ["--model", "fake", "--annotator", NAME, "--out", str(tmp_path)], "evals.alpaca"))
