"""The whole command with scripted engines in the place of models."""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from console.command import parse
from console.errors import InputError, JudgeError
from engines.options import EngineOptions
from engines.protocol import Request
from engines.scripted import ScriptedEngine
from evals.head_to_head.__main__ import main
from evals.head_to_head.options import Config
from records import Comparison, Response, read_rows
from tests.fences import plain

N = 6
Run = Callable[..., Path]
Write = Callable[..., Path]


def shown(request: Request) -> tuple[str, str]:
    text = plain(request.messages[-1]["content"])
    a, b = (text.split(f"<answer_{x}>")[1].split(f"</answer_{x}>")[0].strip() for x in "ab")
    return a, b


def prefer_long(request: Request, choices: Sequence[str]) -> Sequence[float]:
    first, second = (len(text) for text in shown(request))
    share = second / (first + second)
    return [math.log(1 - share), math.log(share)]


def longer(request: Request) -> str:
    first, second = (len(text) for text in shown(request))
    return "Better: tie" if first == second else f"Better: {'A' if first > second else 'B'}"


class Engines:
    """Scripted engines by the names of their models. A model answers with its name as often as its last digit says."""

    def __init__(self) -> None:
        self.opened: dict[str, ScriptedEngine] = {}
        self.judge: dict[str, Any] = {"logprobs": prefer_long, "reply": longer}
        self.digests: dict[str, str] = {}
        self.replies: dict[str, Callable[[Request], str]] = {}

    def open(self, options: EngineOptions) -> ScriptedEngine:
        name = options.model
        if name not in self.opened:
            digest = self.digests.get(name, name)
            changes = self.judge if name == "judge" else {"reply": self.replies.get(name, self._answer(name))}
            self.opened[name] = ScriptedEngine(name=name, digest=digest, **changes)
        return self.opened[name]

    def n_asked(self) -> dict[str, int]:
        return {name: len(engine.asked) for name, engine in self.opened.items()}

    @staticmethod
    def _answer(name: str) -> Callable[[Request], str]:
        return lambda request: f"{name} says {'word ' * int(name[-1])}of {request.messages[-1]['content']}"


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Engines:
    monkeypatch.chdir(tmp_path)
    scripted = Engines()
    for place in ("evals.head_to_head.stages", "evals.alpaca.judging"):
        monkeypatch.setattr(f"{place}.open_engine", scripted.open)
    for place in ("sides", "plan"):
        monkeypatch.setattr(f"evals.head_to_head.{place}.check_engine", lambda options: None)
    return scripted


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_rows(name: str, rows: Sequence[dict[str, Any]]) -> Path:
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path

    return write_rows


@pytest.fixture
def prompts(write: Write) -> Path:
    return write("prompts.jsonl", [{"prompt": f"question {n}"} for n in range(N)])


@pytest.fixture
def compare(engines: Engines, prompts: Path, tmp_path: Path) -> Run:
    def run(*argv: str, out: str = "out") -> Path:
        given = [] if any(word.endswith(".jsonl") for word in argv) else ["--prompts", str(prompts)]
        words = [*argv, *given, "--judge-model", "judge", "--out", str(tmp_path / out)]
        main(parse(Config, words, "evals.head_to_head"))
        return tmp_path / out

    return run


def result(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "head_to_head.json").read_text(encoding="utf-8"))
    return found


def pair(folder: Path, model: str, against: str) -> dict[str, Any]:
    (found,) = [row for row in result(folder)["pairs"] if (row["model"], row["against"]) == (model, against)]
    return found


def answers(model: str, texts: Sequence[str], **more: Any) -> list[dict[str, Any]]:
    return [{"prompt": f"question {n}", "response": text, "model": model, **more} for n, text in enumerate(texts)]


def test_the_model_that_the_judge_prefers_wins_in_both_orders(compare: Run, engines: Engines) -> None:
    folder = compare("m9", "m1")
    found = pair(folder, "m9", "m1")
    assert (found["n"], found["wins"], found["losses"], found["ties"], found["flipped"]) == (N, N, 0, 0, 0)
    ours, theirs = (len(f"m{k} says {'word ' * k}of question 0") for k in (9, 1))
    assert found["win_rate"]["value"] == pytest.approx(ours / (ours + theirs), abs=0.01)
    assert found["p_value"] == pytest.approx(2 / 2**N)
    assert engines.n_asked() == {"m9": N, "m1": N, "judge": 2 * N}


def test_the_rows_are_in_the_projects_formats(compare: Run) -> None:
    folder = compare("m9", "m1")
    responses = list(read_rows(folder / "m9" / "responses.jsonl", Response))
    assert [row.prompt for row in responses] == [f"question {n}" for n in range(N)]
    comparisons = list(read_rows(folder / "comparisons.jsonl", Comparison))
    assert {(row.model_a, row.model_b, row.orders) for row in comparisons} == {("m1", "m9", "both")}
    assert {row.winner for row in comparisons} == {"b"}


def test_models_named_the_other_way_round_ask_nothing_and_turn_the_result(compare: Run, engines: Engines) -> None:
    there = pair(compare("m9", "m1"), "m9", "m1")
    engines.opened.clear()
    back = pair(compare("m1", "m9"), "m1", "m9")
    assert engines.n_asked() == {"m9": 0, "m1": 0, "judge": 0}
    assert (back["wins"], back["losses"]) == (there["losses"], there["wins"])
    assert back["win_rate"]["value"] == pytest.approx(1 - there["win_rate"]["value"])


def test_model_and_baseline_are_the_same_as_names_without_flags(compare: Run) -> None:
    named = pair(compare("m9", "m1", out="named"), "m9", "m1")
    assert pair(compare("--model", "m9", "--baseline", "m1", out="flags"), "m9", "m1") == named


@pytest.mark.parametrize("stage", ["m1", "judge"])
def test_a_killed_command_goes_on_to_the_result_of_an_undisturbed_one(
    compare: Run, engines: Engines, stage: str
) -> None:
    class KilledError(Exception):
        """Stands for a kill: nothing catches it."""

    whole = result(compare("m9", "m1", out="whole"))
    n_asked = engines.n_asked()
    engine = engines.open(EngineOptions(model=stage))
    healthy, n_calls = (engine.reply, engine.logprobs), 0

    def dying(answer: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            nonlocal n_calls
            n_calls += 1
            if n_calls > 3:
                raise KilledError
            return answer(*args)

        return call

    engine.reply, engine.logprobs = dying(engine.reply), dying(engine.logprobs)
    with pytest.raises(KilledError):
        compare("m9", "m1", out="resumed")
    engine.reply, engine.logprobs = healthy
    engine.asked.clear()
    assert result(compare("m9", "m1", out="resumed")) == whole
    assert 0 < len(engine.asked) < n_asked[stage]


def test_running_again_asks_nothing_and_fresh_asks_all(compare: Run, engines: Engines) -> None:
    compare("m9", "m1")
    compare("m9", "m1")
    assert engines.n_asked() == {"m9": N, "m1": N, "judge": 2 * N}
    folder = compare("m9", "m1", "--fresh")
    assert engines.n_asked() == {"m9": 2 * N, "m1": 2 * N, "judge": 4 * N}
    assert (folder / "comparisons.jsonl.1").exists() and (folder / "m9" / "responses.jsonl.1").exists()


def test_a_third_model_reuses_the_answers_and_verdicts_of_two(compare: Run, engines: Engines) -> None:
    compare("m9", "m1")
    compare("m5", "m9", "m1")
    assert engines.n_asked() == {"m9": N, "m1": N, "m5": N, "judge": 3 * 2 * N}


def test_another_models_result_is_set_aside(compare: Run, capsys: pytest.CaptureFixture[str]) -> None:
    folder = compare("m9", "m1")
    first = (folder / "head_to_head.json").read_bytes()
    compare("m9", "m5")
    assert (folder / "head_to_head.json.1").read_bytes() == first
    assert "set aside, because it is of other models" in capsys.readouterr().err
    compare("m9", "m5")
    assert not (folder / "head_to_head.json.2").exists(), "the same again replaces its own result"


def test_three_models_play_round_robin_and_have_ratings_in_the_order_of_the_judge(compare: Run) -> None:
    found = result(compare("m1", "m9", "m5"))
    assert [(row["model"], row["against"]) for row in found["pairs"]] == [("m1", "m9"), ("m1", "m5"), ("m9", "m5")]
    points = {row["model"]: row["value"] for row in found["ratings"]["models"]}
    assert points["m9"] > points["m5"] > points["m1"] and sum(points.values()) == pytest.approx(0, abs=1e-6)


def test_two_models_have_no_ratings(compare: Run) -> None:
    assert result(compare("m9", "m1"))["ratings"] is None


def test_a_reply_without_a_verdict_is_counted_and_is_no_tie(compare: Run, engines: Engines) -> None:
    def reply(request: Request) -> str:
        return "I cannot say." if "question 2" in request.messages[-1]["content"] else longer(request)

    engines.judge["reply"] = reply
    found = pair(compare("m9", "m1", "--judge-read", "text", "--min-coverage", "0.5"), "m9", "m1")
    assert (found["unscored"], found["ties"], found["wins"]) == (1, 0, N - 1)
    assert found["win_rate"]["n"] == N - 1 and sum(found["reasons"].values()) == 1


def test_a_win_rate_of_one_has_wilsons_interval(compare: Run) -> None:
    rate = pair(compare("m9", "m1", "--judge-read", "text"), "m9", "m1")["win_rate"]
    z = 1.959963984540054
    assert (rate["value"], rate["high"]) == (1, 1) and rate["low"] == pytest.approx(N / (N + z * z))


def test_a_failed_call_of_a_model_leaves_no_verdict_and_is_asked_again(compare: Run, engines: Engines) -> None:
    def reply(request: Request) -> str:
        if request.messages[-1]["content"] == "question 1":
            raise RuntimeError("too long")
        return "yes"

    engines.replies["m1"] = reply
    found = pair(compare("m9", "m1", "--min-coverage", "0.5"), "m9", "m1")
    assert (found["unscored"], found["reasons"]) == (1, {"a model gave no answer": 1})
    engines.opened["m1"].reply = lambda request: "yes"
    assert pair(compare("m9", "m1"), "m9", "m1")["unscored"] == 0


def test_too_few_verdicts_fail_name_the_match_and_keep_what_there_is(compare: Run, engines: Engines) -> None:
    engines.judge["reply"] = lambda request: "no idea" if "m5" in request.messages[-1]["content"] else longer(request)
    with pytest.raises(JudgeError, match=f"m9 against m5: only 0 of {N} prompts have a verdict"):
        compare("m9", "m1", "m5", "--judge-read", "text")
    assert pair(Path("out"), "m9", "m1")["wins"] == N
    assert result(Path("out"))["ratings"]["problem"]


def test_a_judge_that_names_the_place_is_warned_of(
    compare: Run, engines: Engines, capsys: pytest.CaptureFixture[str]
) -> None:
    engines.judge["logprobs"] = lambda request, choices: [math.log(0.9), math.log(0.1)]
    found = pair(compare("m9", "m1"), "m9", "m1")
    assert (found["flipped"], found["first_place"], found["second_place"], found["ties"]) == (N, N, 0, 0)
    assert found["p_value"] is None and found["win_rate"]["value"] == pytest.approx(0.5)
    said = capsys.readouterr().err
    assert (
        f"m9 against m1: {N} of {N} comparisons flipped" in said and f"{N} of them for the answer shown first" in said
    )


def test_the_longer_answers_share_of_the_wins_is_told(compare: Run, write: Write) -> None:
    a = write("a.jsonl", answers("a", ["long long", "long long", "s", "same"]))
    b = write("b.jsonl", answers("b", ["short", "short", "longer", "even"]))
    found = pair(compare(str(a), str(b), "--judge-read", "text"), "a", "b")
    assert (found["longer"]["value"], found["longer"]["n"], found["ties"]) == (1, 3, 1)


def test_files_of_answers_are_matched_by_their_prompts(
    compare: Run, write: Write, engines: Engines, capsys: pytest.CaptureFixture[str]
) -> None:
    a = write("a.jsonl", answers("base", ["long answer"] * 5)[::-1])
    b = write("b.jsonl", [*answers("tuned", ["short"] * 4), {"prompt": "other", "response": "x", "model": "tuned"}])
    folder = compare(str(a), str(b))
    found = pair(folder, "base", "tuned")
    assert (found["n"], found["wins"]) == (4, 4)
    assert engines.n_asked() == {"judge": 2 * 4}
    said = capsys.readouterr().err
    assert f"{b} has no answer to 1 of 6 prompts: 'question 4'" in said
    assert f"{a} has no answer to 1 of 6 prompts: 'other'" in said
    assert result(folder)["n_left_out"] == {"base": 1, "tuned": 1}


def test_a_model_answers_the_prompts_of_a_file(compare: Run, write: Write, engines: Engines) -> None:
    a = write("a.jsonl", answers("base", ["short"] * 3))
    found = pair(compare("m9", str(a)), "m9", "base")
    assert (found["n"], found["wins"]) == (3, 3) and engines.n_asked()["m9"] == 3


def test_files_of_one_models_name_are_told_apart_by_their_own_names(compare: Run, write: Write) -> None:
    a, b = (write(f"{name}.jsonl", answers("m", [name * k for k in (1, 2)])) for name in ("one", "four"))
    assert [row["name"] for row in result(compare(str(a), str(b)))["models"]] == ["m (one)", "m (four)"]


def test_categories_have_figures_of_their_own(compare: Run, write: Write) -> None:
    kinds = ["maths", "maths", "poems", "poems"]
    a = write("a.jsonl", [row | {"category": kind} for row, kind in zip(answers("a", ["xx"] * 4), kinds, strict=True)])
    b = write("b.jsonl", answers("b", ["x", "x", "xxx", "x"]))
    found = pair(compare(str(a), str(b)), "a", "b")["by_category"]
    assert {name: (row["n"], row["wins"], row["losses"]) for name, row in found.items()} == {
        "maths": (2, 2, 0),
        "poems": (2, 1, 1),
    }


def test_a_category_of_each_prompt_alone_is_none(compare: Run, write: Write) -> None:
    rows = [row | {"source": f"http://place/{n}"} for n, row in enumerate(answers("a", ["xx"] * 4))]
    a, b = write("a.jsonl", rows), write("b.jsonl", answers("b", ["x"] * 4))
    assert pair(compare(str(a), str(b)), "a", "b")["by_category"] == {}


def test_a_picture_is_drawn(compare: Run, tmp_path: Path) -> None:
    compare("m9", "m1", "m5", "--picture", str(tmp_path / "matrix.png"))
    assert (tmp_path / "matrix.png").read_bytes().startswith(b"\x89PNG")


def test_json_alone_goes_to_stdout_and_equals_the_file(compare: Run, capsys: pytest.CaptureFixture[str]) -> None:
    folder = compare("m9", "m1", "--json")
    found = json.loads(capsys.readouterr().out)
    assert found.pop("files") == [str(folder / "head_to_head.json")]
    assert found == result(folder)


def test_the_tables_name_the_counts_and_the_judge(compare: Run, capsys: pytest.CaptureFixture[str]) -> None:
    compare("m9", "m1")
    shown_text = capsys.readouterr().out
    for word in ("wins", "flipped", "no verdict", "win rate, %", "judged by judge", "mean chars"):
        assert word in shown_text


def test_a_dry_run_counts_what_is_there_and_asks_nothing(
    compare: Run, engines: Engines, capsys: pytest.CaptureFixture[str]
) -> None:
    compare("m9", "m1", "--limit", "2")
    before = engines.n_asked()
    capsys.readouterr()
    compare("m9", "m1", "m5", "--dry-run", "--json")
    plan = json.loads(capsys.readouterr().out)
    assert plan["answers_there"] == {"m9": 2, "m1": 2, "m5": 0} and plan["answers"] == 3 * N - 4
    assert (plan["comparisons_there"], plan["comparisons"]) == (2, 3 * N - 2)
    assert plan["judge_calls"] == 2 * (3 * N - 2)
    assert before == {name: n for name, n in engines.n_asked().items() if name != "m5"}


def test_a_dry_run_counts_failed_calls_as_calls_to_make(
    compare: Run, engines: Engines, capsys: pytest.CaptureFixture[str]
) -> None:
    def reply(request: Request) -> str:
        if "question 2" in request.messages[-1]["content"]:
            raise RuntimeError("timed out")
        return longer(request)

    engines.judge["reply"] = reply
    words = ("m9", "m1", "--judge-read", "text", "--min-coverage", "0.5", "--json")
    compare(*words)
    capsys.readouterr()
    compare(*words, "--dry-run")
    plan = json.loads(capsys.readouterr().out)
    assert (plan["comparisons_there"], plan["comparisons"], plan["judge_calls"]) == (N - 1, 1, 2)


def test_limit_takes_the_first_prompts(compare: Run) -> None:
    assert pair(compare("m9", "m1", "--limit", "2"), "m9", "m1")["n"] == 2


def test_the_held_out_prompts_of_a_run_are_the_default(engines: Engines, write: Write, tmp_path: Path) -> None:
    (tmp_path / "runs/demo/eval").mkdir(parents=True)
    (tmp_path / "runs/demo/run.toml").write_text("")
    write("runs/demo/eval/prompts.jsonl", [{"prompt": "held out"}])
    main(parse(Config, ["m9", "m1", "--judge-model", "judge"], "evals.head_to_head"))
    folder = tmp_path / "runs/demo/evals/head_to_head"
    assert result(folder)["prompts"] == "runs/demo/eval/prompts.jsonl" and pair(folder, "m9", "m1")["n"] == 1


def test_a_run_alone_compares_all_of_its_iterations(engines: Engines, write: Write, tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"runs/demo/iter{number}/model").mkdir(parents=True)
    (tmp_path / "runs/demo/run.toml").write_text("")
    (tmp_path / "runs/demo/eval").mkdir()
    write("runs/demo/eval/prompts.jsonl", [{"prompt": "held out"}, {"prompt": "held out too"}])
    main(parse(Config, ["--run", "demo", "--judge-model", "judge"], "evals.head_to_head"))
    found = result(tmp_path / "runs/demo/evals/head_to_head")
    assert [row["name"] for row in found["models"]] == ["iter0", "iter1", "iter2"] and len(found["pairs"]) == 3


BAD = [
    ([], "two or more models or files of answers are compared, and none is named"),
    (["m1"], "there is only m1"),
    (["m1", "m1"], "m1 is named 2 times"),
    (["m1", "a.jsonl", "./a.jsonl"], "a.jsonl is named 2 times"),
    (["m1", "nope.jsonl"], "nope.jsonl: no such file"),
    (["m1", "none.jsonl"], "none.jsonl"),
    (["m1", "empty.jsonl"], "empty.jsonl: all answers are empty"),
    (["m1", "two.jsonl"], r"two.jsonl: answers of 2 models \(x, y\); give one file for each"),
    (["a.jsonl", "other.jsonl"], "no prompt of a.jsonl, other.jsonl has an answer in each of a.jsonl, other.jsonl"),
    (["m1", "m2", "--prompts", "nope.jsonl"], "nope.jsonl: no such file"),
    (["m1", "m2"], "no prompts: give --prompts FILE"),
    (["m1", "m2", "--limit", "0"], "--limit must be at least 1"),
    (["m1", "\0.jsonl"], "holds a character that is not text"),
    (["m1", f"{'x' * 300}.jsonl"], "no such file"),
    (["m1", "folder.jsonl"], "folder.jsonl: is a folder"),
    (["m1", "nope.toml"], "nope.toml"),
    (["m1", "a.jsonl", "--judge-rubric", "additive"], "--judge-rubric additive scores one answer"),
    (["a.jsonl", "m1", "--judge-base-url", "http://127.0.0.1:9/v1"], "name its model there with --judge-model"),
]


@pytest.mark.parametrize(("words", "message"), BAD, ids=[" ".join(words)[:30] for words, _ in BAD])
def test_bad_input_is_named_before_anything_is_asked(
    engines: Engines, write: Write, words: list[str], message: str
) -> None:
    write("a.jsonl", answers("a", ["x"]))
    write("none.jsonl", [])
    Path("folder.jsonl").mkdir()
    write("empty.jsonl", answers("e", ["", " "]))
    write("two.jsonl", [*answers("x", ["x"]), *answers("y", ["y"])])
    write("other.jsonl", [{"prompt": "another", "response": "x", "model": "o"}])
    with pytest.raises(InputError, match=message):
        main(parse(Config, words, "evals.head_to_head"))
    assert engines.opened == {} and not Path("runs").exists()


@pytest.mark.parametrize("words", [(), ("--dry-run",)], ids=["in earnest", "dry"])
def test_two_names_of_one_model_are_refused_before_anything_is_asked(
    compare: Run, engines: Engines, words: tuple[str, ...]
) -> None:
    engines.digests |= {"m1": "same", "m2": "same"}
    with pytest.raises(InputError, match="m1 and m2 are the same model"):
        compare("m1", "m2", *words)
    assert engines.n_asked() == {"m1": 0, "m2": 0}


def test_a_judge_that_is_not_there_costs_no_answers(
    compare: Run, engines: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(options: EngineOptions) -> ScriptedEngine:
        raise InputError(f"no model '{options.model}'")

    monkeypatch.setattr("evals.alpaca.judging.open_engine", missing)
    with pytest.raises(InputError, match="no model 'judge'"):
        compare("m9", "m1")
    assert engines.n_asked() == {"m9": 0, "m1": 0}


def test_empty_answers_are_counted_and_two_empty_ones_have_no_verdict(
    compare: Run, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = write("a.jsonl", answers("a", ["", "", "x"])), write("b.jsonl", answers("b", ["yes", "", "y"]))
    folder = compare(str(a), str(b), "--judge-read", "text", "--min-coverage", "0.5")
    assert pair(folder, "a", "b")["unscored"] == 1
    assert [row["empty"] for row in result(folder)["models"]] == [2, 1]
    assert f"{a}: 2 of 3 answers are empty" in capsys.readouterr().err


def test_repeated_prompts_and_several_answers_count_once(
    compare: Run, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    a = write("a.jsonl", [*answers("a", ["first", "x"]), *answers("a", ["second"])])
    twice = write("twice.jsonl", [{"prompt": f"question {n % 2}"} for n in range(4)])
    folder = compare(str(a), "m9", "--prompts", str(twice))
    assert pair(folder, "a", "m9")["n"] == 2
    said = capsys.readouterr().err
    assert f"{a}: several answers to 1 prompts" in said and f"{twice}: 2 of 4 prompts repeat another one" in said
