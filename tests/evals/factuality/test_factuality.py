"""The whole command with scripted engines in the place of models, and its figures by hand."""

import json
from collections.abc import Sequence
from math import exp, log
from pathlib import Path

import numpy as np
import pytest

from console.command import parse
from console.errors import EngineError, InputError, JudgeError
from engines.options import EngineOptions
from engines.protocol import Request
from engines.scripted import ScriptedEngine
from evals.factuality import evaluation, sides
from evals.factuality.__main__ import main
from evals.factuality.figures import figures_of
from evals.factuality.options import Config
from evals.results.numbers import numbers_in
from judges.tools.rows import CheckedClaim, Evidence
from records import Response, Usage

CORPUS = {
    "rome": "Rome is the capital of Italy.",
    "moon": "The Moon is made of rock.",
    "sun": "The Sun is a star.",
}
FACTS = {
    "Tell me of Rome.": "Rome is the capital of Italy.",
    "Tell me of the Moon.": "The Moon is made of cheese.",
    "Tell me of Venus.": "Venus has two moons.",
    "Tell me of nothing.": "I'm sorry, but I cannot help with that.",
}


def answer(request: Request) -> str:
    return FACTS[request.messages[-1]["content"]]


def claims(request: Request) -> str:
    """List each sentence of the answer, which stands between the last tags."""
    text = request.messages[-1]["content"]
    return "\n".join(f"- {fact}" for fact in FACTS.values() if fact in text)


def stance(request: Request, choices: Sequence[str]) -> list[float]:
    text = request.messages[-1]["content"]
    chosen = "A" if text.count("capital of Italy") > 1 else "B" if "cheese" in text and "rock" in text else "C"
    return [log(0.9 if choice == chosen else 0.05) for choice in choices]


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, ScriptedEngine]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JUDGELOOP_CACHE", str(tmp_path / "cache"))
    rows = [{"id": name, "text": text} for name, text in CORPUS.items()]
    (tmp_path / "corpus.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (tmp_path / "prompts.jsonl").write_text("".join(f"{json.dumps({'prompt': text})}\n" for text in FACTS))
    known = {
        "writer": ScriptedEngine(name="writer", digest="writer", reply=answer),
        "judge": ScriptedEngine(name="judge", digest="judge", reply=claims, logprobs=stance),
    }

    def opened(options: EngineOptions) -> ScriptedEngine:
        return known[options.model]

    monkeypatch.setattr("evals.comparing.there.open_engine", opened)
    for place in (evaluation, sides):
        monkeypatch.setattr(place, "open_engine", opened)
        monkeypatch.setattr(place, "check_engine", lambda _: None)
    return known


def factuality(*words: str) -> None:
    main(parse(Config, words, "python -m evals.factuality"))


def write_answers(path: str, answers: dict[str, str], model: str) -> None:
    rows = [{"prompt": prompt, "response": text, "model": model} for prompt, text in answers.items()]
    Path(path).write_text("".join(f"{json.dumps(row)}\n" for row in rows))


CHECKS = ("--corpus", "corpus.jsonl", "--judge-model", "judge")


def test_claims_are_supported_refuted_or_unknown_to_the_corpus(
    engines: dict[str, ScriptedEngine], capsys: pytest.CaptureFixture[str]
) -> None:
    factuality("writer", "--prompts", "prompts.jsonl", *CHECKS, "--json")
    [figures] = json.loads(capsys.readouterr().out)["models"]
    assert figures["supported"]["value"] == pytest.approx(1 / 3), "the refusal states nothing"
    assert figures["refuted"]["value"] == pytest.approx(1 / 3)
    assert figures["responds"]["value"] == pytest.approx(3 / 4)
    assert figures["factscore"]["value"] == pytest.approx(exp(1 - 10) / 3), "one claim instead of ten"
    assert figures["f1"]["value"] == pytest.approx((2 * 0.1 / 1.1) / 4), "over all four answers"
    assert figures["n_claims"]["value"] == 1.0


def test_a_stopped_check_goes_on_where_it_was(
    engines: dict[str, ScriptedEngine], capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(request: Request, choices: Sequence[str]) -> list[float]:
        raise EngineError("the server is gone")

    words = ("writer", "--prompts", "prompts.jsonl", *CHECKS, "--json")
    engines["judge"] = ScriptedEngine(name="judge", digest="judge", reply=claims, logprobs=fails)
    with pytest.raises(EngineError, match="gone"):
        factuality(*words)
    engines["writer"] = ScriptedEngine(name="writer", digest="writer", reply=lambda _: pytest.fail("asked again"))
    engines["judge"] = ScriptedEngine(
        name="judge", digest="judge", reply=lambda _: pytest.fail("asked again"), logprobs=stance
    )
    factuality(*words)
    [figures] = json.loads(capsys.readouterr().out)["models"]
    assert figures["supported"]["value"] == pytest.approx(1 / 3)


def test_files_of_answers_are_compared_on_the_prompts_that_both_answer(
    engines: dict[str, ScriptedEngine], capsys: pytest.CaptureFixture[str]
) -> None:
    write_answers("a.jsonl", FACTS, "first")
    write_answers("b.jsonl", dict(list(FACTS.items())[:2]) | {"Tell me of Venus.": FACTS["Tell me of Rome."]}, "second")
    factuality("a.jsonl", "b.jsonl", *CHECKS, "--json")
    told = json.loads(capsys.readouterr().out)
    first, second = told["models"]
    assert (first["n_unanswered"], second["n_unanswered"]) == (0, 1)
    assert second["supported"]["value"] == pytest.approx(2 / 3)
    [change] = [change for change in told["changes"] if change["name"] == "supported"]
    assert change["value"] == pytest.approx(1 / 3)
    assert change["n"] == 3
    problems: list[str] = []
    numbers = {(number.model, number.measure): number for number in numbers_in(Path("runs/evals"), problems)}
    assert numbers["second", "FActScore"].value == pytest.approx(100 * 2 / 3 * exp(-9))
    assert numbers["second", "FActScore"].judge is not None and not problems


def test_the_table_and_the_plan_name_what_counts(
    engines: dict[str, ScriptedEngine], capsys: pytest.CaptureFixture[str]
) -> None:
    factuality(
        "writer", "--prompts", "prompts.jsonl", *CHECKS, "--dry-run", "--max-claims", "3", "--f1-k", "3", "--k", "2"
    )
    told = capsys.readouterr().out
    assert "answers: 4" in told and "answers there: writer 0" in told
    assert "judge calls: 28 at most" in told, "one lists the claims, and six verify them"
    assert not Path("runs").exists()
    factuality("writer", "--prompts", "prompts.jsonl", *CHECKS)
    told = capsys.readouterr().out
    assert max(map(len, told.splitlines())) <= 80
    for words in ("FActScore, %", "F1@10, %", "answers with claims, %", "checked by judge", "factuality.json"):
        assert words in told
    factuality("writer", "--prompts", "prompts.jsonl", *CHECKS, "--dry-run")
    assert "answers: 0" in capsys.readouterr().out


def test_answers_with_more_claims_than_are_checked_and_with_sentences_as_claims_are_counted(
    engines: dict[str, ScriptedEngine], capsys: pytest.CaptureFixture[str]
) -> None:
    long = " ".join(FACTS[prompt] for prompt in list(FACTS)[:3])
    write_answers("a.jsonl", {"Tell me all.": long, "Tell me of Rome.": FACTS["Tell me of Rome."]}, "first")
    factuality("a.jsonl", *CHECKS, "--max-claims", "2", "--f1-k", "2", "--json")
    [figures] = json.loads(capsys.readouterr().out)["models"]
    assert (figures["n_cut"], figures["n_from_sentences"]) == (1, 0)
    factuality("a.jsonl", *CHECKS, "--claims", "sentences", "--json")
    [figures] = json.loads(capsys.readouterr().out)["models"]
    assert (figures["n_cut"], figures["n_from_sentences"]) == (0, 2)


def test_answers_that_could_not_be_checked_are_in_no_figure_and_too_many_fail(
    engines: dict[str, ScriptedEngine], capsys: pytest.CaptureFixture[str]
) -> None:
    def unsure(request: Request, choices: Sequence[str]) -> list[float]:
        return [log(0.01)] * 3  # its mass is elsewhere

    engines["judge"] = ScriptedEngine(name="judge", digest="judge", reply=claims, logprobs=unsure)
    with pytest.raises(JudgeError, match="2 of 4 answers could be checked"):
        factuality("writer", "--prompts", "prompts.jsonl", *CHECKS)
    assert "answers not checked" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("writer", "--corpus", "corpus.jsonl"), "--prompts prompts.jsonl"),
        (("writer", "--prompts", "prompts.jsonl"), "--corpus"),
        (("writer", "--prompts", "prompts.jsonl", "--corpus", "no"), "no: no such folder"),
        (
            ("writer", "writer", "--prompts", "prompts.jsonl", "--corpus", "corpus.jsonl"),
            "two models are called writer",
        ),
        (("gone.jsonl", "--corpus", "corpus.jsonl"), "gone.jsonl"),
        (("writer", "--prompts", "prompts.jsonl", *CHECKS[:2], "--base-url", "http://x/v1"), "--judge-model"),
        (("writer", "--prompts", "prompts.jsonl", *CHECKS, "--verifier", "nli"), "--nli-model"),
        (("writer", "--prompts", "prompts.jsonl", *CHECKS, "--f1-k", "65"), "no answer could have full recall"),
    ],
)
def test_wrong_flags_are_told_before_anything_is_asked(
    words: tuple[str, ...], message: str, engines: dict[str, ScriptedEngine]
) -> None:
    with pytest.raises(InputError, match=message):
        factuality(*words)
    assert not Path("runs").exists()


def test_figures_by_hand() -> None:
    def evidence(*verdicts: str | None) -> Evidence:
        rows = [CheckedClaim(claim=f"claim {number}", verdict=verdict) for number, verdict in enumerate(verdicts)]  # type: ignore[arg-type]
        counts = {
            "n_supported": verdicts.count("supported"),
            "n_refuted": verdicts.count("refuted"),
            "n_not_enough": verdicts.count("not enough"),
            "n_unchecked": verdicts.count(None),
        }
        text = {"prompt": "p", "response": "r", "checker": "c", "usage": Usage()}
        return Evidence(id="e", response_id="r", tool="search", claims=rows, **counts, **text)  # type: ignore[arg-type]

    known = {
        "good": evidence(*["supported"] * 12),
        "mixed": evidence("supported", "refuted", "not enough", "supported", None),
        "silent": evidence(),
        "open": evidence(None, None),
    }
    answers = {key: Response(id=key, prompt_id=key, prompt=key, response=key, model="m") for key in (*known, "refused")}
    keys = [*answers, "missing"]
    figures = figures_of("m", keys, answers, known, 4, np.ones((1, len(keys))))
    assert figures.factscore.value == pytest.approx((1 + 0.5 * exp(1 - 10 / 4)) / 2)
    assert figures.supported.value == pytest.approx((1 + 0.5) / 2)
    assert figures.refuted.value == pytest.approx((0 + 0.25) / 2)
    # P = 1, R = 1; P = R = 0.5; and two answers without a claim
    assert figures.f1.value == pytest.approx((1 + 0.5 + 0 + 0) / 4)
    assert figures.responds.value == pytest.approx(2 / 4)
    assert figures.n_claims.value == 8.0
    assert (figures.n_unanswered, figures.n_unchecked, figures.n_claims_unchecked) == (1, 1, 1)
