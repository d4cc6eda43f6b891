"""The command on judge benchmarks: files are recognised, judges of all kinds are asked, and figures are written."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from console.command import parse
from console.errors import InputError, JudgeError
from engines.protocol import Request
from engines.reward_model import RewardModel
from engines.scripted import ScriptedEngine
from evals.results.numbers import numbers_in
from evals.reward_model.__main__ import main
from evals.reward_model.benches.reading import read_bench
from evals.reward_model.options import Config
from records.files import BadRows
from tests.engines.test_reward_scoring import save_reward_model
from tests.evals.reward_model.test_reward_model import KilledError, scored
from tests.fences import plain

WORDS = ("good", "poor")
V2 = [
    {"id": "1", "prompt": "a?", "subset": "Math", "chosen": ["good 1"], "rejected": ["poor 1", "poor 2", "fair 3"],
     "num_correct": 1},
    {"id": "2", "prompt": "b?", "subset": "Focus", "chosen": ["fair 4"], "rejected": ["poor 5", "fair 6", "fair 7"],
     "num_correct": 1},
    {"id": "ref:0", "prompt": "c?", "subset": "Ties", "chosen": ["good 8"], "rejected": ["poor 9"], "num_correct": 1},
    {"id": "tied:0", "prompt": "d?", "subset": "Ties", "chosen": ["good 10", "good 11"], "rejected": ["poor 12"],
     "num_correct": 2},
]  # fmt: skip
PAIRS = [
    {"pair_id": str(n), "source": source, "question": f"Question {n}", "response_A": f"{WORDS[n % 2]} A {n}",
     "response_B": f"{WORDS[1 - n % 2]} B {n}", "label": "B>A" if n % 2 else "A>B"}
    for n, source in enumerate(["mmlu-pro-law", "mmlu-pro-law", "livebench-math", "livecodebench"])
]  # fmt: skip
RM = {"id": "1", "prompt": "a?", "domain": "chat", "chosen": ["good 1", "good 2", "good 3"],
      "rejected": ["poor 1", "poor 2", "poor 3"]}  # fmt: skip
PPE = {"question_id": 1, "prompt": "a?", "response_1": "poor", "response_2": "good", "response_3": "fair",
       "scores": [False, True, False], "sampled_conflict_pairs": [[0, 1], [1, 2]]}  # fmt: skip


def write(path: Path, rows: Sequence[object]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def comparing(name: str, replies: Callable[[str, str], str]) -> ScriptedEngine:
    """An engine that compares by `replies(first answer, second answer)`."""

    def reply(request: Request) -> str:
        text = plain(request.messages[-1]["content"])
        first = text.rpartition("<answer_a>\n")[2].split("\n")[0]
        second = text.rpartition("<answer_b>\n")[2].split("\n")[0]
        return f"So.\nBetter: {replies(first, second)}"

    return ScriptedEngine(reply, name=name, digest=name)


@pytest.fixture
def measure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    def run(source: Path, engines: dict[str, ScriptedEngine], *argv: str, out: str = "out") -> dict[str, Any]:
        for place in ("judging", "benches.asking", "plan"):
            monkeypatch.setattr(f"evals.reward_model.{place}.open_engine", lambda options: engines[options.model])
        main(parse(Config, [str(source), "--out", str(tmp_path / out), *argv], "reward_model"))
        [path] = (tmp_path / out).glob("*.json")
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return result

    return run


def figures(result: dict[str, Any], place: int = 0, way: str = "theirs") -> dict[str, float]:
    return {figure["name"]: figure[way]["value"] for figure in result["judges"][place]["figures"]}


def test_rewardbench_2_by_subset_with_failures_in_both_ways(
    measure: Callable[..., dict[str, Any]], tmp_path: Path, capsys: Any
) -> None:
    engine = scored("m", good=5, fair="none", poor=1)
    argv = ("--judge", "m", "--read", "text", "--min-coverage", "0.4")
    result = measure(write(tmp_path / "rb2.jsonl", V2), {"m": engine}, *argv)
    assert result["benchmark"] == "RewardBench 2" and result["judges"][0]["failed"] == 2
    # fair has no score: one of four is missing in Math, and all but a wrong one in Focus
    assert figures(result)["Math"] == 1.0 and figures(result, way="ours")["Math"] == 0.0
    assert figures(result)["Focus"] == 0.0
    assert figures(result)["Ties"] == pytest.approx(1.01)  # no spread at all between the right ones
    captured = capsys.readouterr()
    assert "as RewardBench 2 counts" in captured.out and "0.25" in captured.out
    assert "m: 4 without a verdict" in captured.err


def test_the_report_reads_the_benchmark_s_own_aggregate_of_each_judge(
    measure: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    engine = scored("m", good=5, fair=2, poor=1)
    measure(write(tmp_path / "x.jsonl", PAIRS), {"m": engine}, "--judge", "m", "--read", "text", out="m/reward_model")
    problems: list[str] = []
    [number] = numbers_in(tmp_path / "m", problems)
    assert (number.model, number.benchmark, number.value, problems) == ("m", "JudgeBench", 100.0, [])
    assert number.measure == "overall, of all pairs, as JudgeBench counts"


def test_the_longer_answer_stands_beside_every_judge(measure: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    engines = {"m": scored("m", good=5, fair=2, poor=1), "n": scored("n", good=1, fair=2, poor=5)}
    result = measure(write(tmp_path / "x.jsonl", PAIRS), engines, "--judge", "m", "--judge", "n", "--read", "text")
    assert [judge["name"] for judge in result["judges"]] == ["m", "n", "the longer is better"]
    assert figures(result)["overall, of all pairs"] == 1.0 and figures(result, 1)["overall, of all pairs"] == 0.0
    assert result["judges"][1]["lead"]["value"] == -1.0 and result["judges"][0]["lead"] is None


def test_a_judge_that_compares_is_asked_in_both_orders(measure: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    fair = comparing("m", lambda first, second: "A" if first.startswith("good") else "B")
    first_one = comparing("n", lambda first, second: "A")
    argv = ("--judge", "m", "--judge", "n", "--read", "text", "--samples", "1", "--rubric", "pairwise")
    result = measure(write(tmp_path / "x.jsonl", PAIRS), {"m": fair, "n": first_one}, *argv)
    assert len(fair.asked) == 8
    assert figures(result)["overall, of all pairs"] == 1.0 and figures(result, 1)["overall, of all pairs"] == 0.0
    assert {figure["n_tied"] for figure in result["judges"][1]["figures"] if not figure["is_aggregate"]} == {1, 2}


def test_a_killed_benchmark_goes_on_and_ends_as_an_uninterrupted_one(
    measure: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    source, argv = write(tmp_path / "x.jsonl", PAIRS), ("--judge", "m", "--read", "text", "--samples", "1")
    more = ("--rubric", "pairwise")
    better = lambda first, second: "A" if first.startswith("good") else "B"  # noqa: E731
    whole = measure(source, {"m": comparing("m", better)}, *argv, *more, out="whole")
    dying, calls = comparing("m", better), [0]
    reply = dying.reply

    def dies(request: Request) -> str:
        calls[0] += 1
        if calls[0] > 4:
            raise KilledError
        return reply(request)

    dying.reply = dies
    with pytest.raises(KilledError):
        measure(source, {"m": dying}, *argv, *more, out="resumed")
    engine = comparing("m", better)
    resumed = measure(source, {"m": engine}, *argv, *more, out="resumed")
    assert len(engine.asked) == 8 - 4
    assert [judge["figures"] for judge in resumed["judges"]] == [judge["figures"] for judge in whole["judges"]]


def test_a_panel_of_judges_combines_their_scores_or_votes(
    measure: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    source = write(tmp_path / "x.jsonl", PAIRS)
    engines = {
        "a": scored("a", good=5, fair=2, poor=1),
        "b": scored("b", good=4, fair=2, poor=1),
        "c": scored("c", good=1, fair=2, poor=2),
    }
    argv = [word for name in engines for word in ("--judge", name)]
    result = measure(source, engines, *argv, "--read", "text", "--panel")
    assert result["judges"][3]["name"] == "a panel of 3" and figures(result, 3)["overall, of all pairs"] == 1.0
    assert figures(result, 2)["overall, of all pairs"] == 0.0
    better = lambda first, second: "A" if first.startswith("good") else "B"  # noqa: E731
    worse = lambda first, second: "B" if first.startswith("good") else "A"  # noqa: E731
    voters = {"a": comparing("a", better), "b": comparing("b", better), "c": comparing("c", worse)}
    more = ("--read", "text", "--samples", "1", "--rubric", "pairwise", "--panel")
    voted = measure(source, voters, *argv, *more, out="voted")
    assert figures(voted, 3)["overall, of all pairs"] == 1.0


def test_ranked_answers_have_a_panel_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    engines = {"a": scored("a", good=5, poor=1), "b": scored("b", good=3, poor="none")}
    monkeypatch.setattr("evals.reward_model.judging.open_engine", lambda options: engines[options.model])
    source = write(tmp_path / "ranked.jsonl", [{"prompt": "a?", "responses": ["good 1", "poor 1"], "ranks": [0, 1]}])
    argv = ["--judge", "a", "--judge", "b", "--read", "text", "--panel", "--quorum", "1", "--min-coverage", "0.5"]
    main(parse(Config, [str(source), "--out", str(tmp_path / "out"), *argv], "reward_model"))
    [path] = (tmp_path / "out").glob("*.json")
    judges = {judge["name"]: judge["unscored"] for judge in json.loads(path.read_text(encoding="utf-8"))["judges"]}
    assert judges == {"a": 0, "b": 1, "a panel of 2": 0}


def test_a_reward_model_is_measured_on_a_benchmark(measure: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    folder = save_reward_model(tmp_path / "model")
    model = RewardModel.load(folder, "m")
    right = [
        reward > other
        for row in PAIRS
        for reward, other in [model.score([row["question"]] * 2, [row[name] for name in _order(row)])]  # type: ignore[operator]
    ]
    result = measure(write(tmp_path / "x.jsonl", PAIRS), {}, "--judge", str(folder))
    assert figures(result)["overall, of all pairs"] == sum(right) / 4


def _order(row: dict[str, str]) -> tuple[str, str]:
    return ("response_A", "response_B") if row["label"] == "A>B" else ("response_B", "response_A")


def test_stored_judgments_measure_a_benchmark_as_the_judge_did(
    measure: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    source = write(tmp_path / "rb2.jsonl", V2)
    first = measure(source, {"m": scored("m", good=5, fair=3, poor=1)}, "--judge", "m", "--read", "text")
    [stored] = (tmp_path / "out").glob("*.jsonl")
    again = measure(source, {}, "--judgments", str(stored), out="again")
    assert again["judges"][0]["figures"] == first["judges"][0]["figures"]


def test_too_few_verdicts_fail_and_the_report_is_there(measure: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    with pytest.raises(JudgeError, match="only 2 of 4 items have a verdict"):
        measure(
            write(tmp_path / "rb2.jsonl", V2), {"m": scored("m", good=5, fair="?", poor=1)}, "--judge", "m",
            "--read", "text",
        )  # fmt: skip
    assert list((tmp_path / "out").glob("*.md"))


# files


def test_each_community_s_file_is_recognised(tmp_path: Path) -> None:
    first = {"prompt": "a?", "chosen": "x", "rejected": "y", "subset": "hep-go", "id": 1}
    human = {"question_id": "1", "prompt": "a?", "response_1": "x", "response_2": "y", "winner": "model_b"}
    bar = {"input": "a?", "output_1": "x", "output_2": "y", "label": 2}
    rows = {"RewardBench": first, "RewardBench 2": V2[0], "JudgeBench": PAIRS[0], "RM-Bench": RM, "PPE": PPE}
    for name, row in [*rows.items(), ("PPE", human), ("LLMBar", bar)]:
        bench = read_bench(write(tmp_path / "GPTOut.jsonl", [row]), BadRows())
        assert bench is not None and bench.name == name, name
    assert bench is not None and bench.items[0].answers == ("y", "x") and bench.items[0].subset == "GPTOut"
    assert (
        read_bench(write(tmp_path / "r.jsonl", [{"prompt": "a", "responses": ["b"], "ranks": [0]}]), BadRows()) is None
    )


def test_ppe_s_pairs_count_from_0_and_its_set_is_in_the_file_s_name(tmp_path: Path) -> None:
    tie = {"question_id": "2", "prompt": "a?", "response_1": "x", "response_2": "y", "winner": "tie (bothbad)"}
    bench = read_bench(write(tmp_path / "PPE-MBPP-Plus-Best-of-K" / "train.jsonl", [PPE, tie]), BadRows())
    assert bench is not None and {one.subset for one in bench.items} == {"mbpp_plus"} and bench.n_ties == 1
    assert [one.answers for one in bench.items] == [("good", "poor"), ("good", "fair")]


def test_rmbench_gives_nine_pairs_with_their_levels(tmp_path: Path) -> None:
    bench = read_bench(write(tmp_path / "a.jsonl", [RM]), BadRows())
    assert bench is not None and [one.level for one in bench.items].count("hard") == 3 and len(bench.items) == 9


def test_a_folder_is_read_whole_each_item_once(tmp_path: Path, capsys: Any, data: Path) -> None:
    for name in ("chat", "total"):
        write(tmp_path / "rm" / f"{name}.jsonl", [RM])
    bench = read_bench(tmp_path / "rm", BadRows())
    assert bench is not None and len(bench.items) == 9 and "9 items are there twice" in capsys.readouterr().err
    real = read_bench(data / "llmbar", BadRows())
    assert real is not None and len(real.items) == 193
    assert {one.subset for one in real.items} == {"Natural", "GPTOut", "Manual"}


def test_a_folder_of_two_benchmarks_or_of_none_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "mixed" / "a.jsonl", [RM])
    write(tmp_path / "mixed" / "b.jsonl", PAIRS)
    with pytest.raises(InputError, match="files of several benchmarks, RM-Bench, JudgeBench"):
        read_bench(tmp_path / "mixed", BadRows())
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no file of a judge benchmark in the folder"):
        read_bench(tmp_path / "empty", BadRows())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_correct": 3}, "'num_correct' is 3, and there are 1 chosen"),
        ({"subset": "Ties"}, "'id' is '1', and in Ties it is like"),
        ({"chosen": ["a", "b"], "num_correct": 2}, "only tied prompts have several"),
        ({"rejected": [1]}, "'rejected' must be a list of texts"),
    ],
)
def test_a_bad_row_of_rewardbench_2_is_named(tmp_path: Path, change: dict[str, Any], message: str, capsys: Any) -> None:
    bench = read_bench(write(tmp_path / "a.jsonl", [V2[1], {**V2[0], **change}]), bad := BadRows())
    assert bench is not None and len(bench.items) == 1 and bad.n_bad == 1
    assert message in capsys.readouterr().err


# flags


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("--judge", "m", "--rubric", "pairwise"), "pairwise compares two answers, and RewardBench 2 has four or more"),
        (("--judge", "m", "--panel"), "--panel needs at least two judges"),
        (("--judge", "m", "--judge", "n", "--panel", "--quorum", "3"), "--quorum must be from 1 to the number"),
        (("--judge", "m", "--quorum", "1"), "--quorum and --panel-rule are for a panel"),
    ],
)
def test_wrong_flags_are_one_line(
    measure: Callable[..., dict[str, Any]], tmp_path: Path, argv: tuple[str, ...], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        measure(write(tmp_path / "rb2.jsonl", V2), {}, *argv)


@pytest.mark.parametrize("rubric", ["additive", "pairwise"])
def test_a_dry_run_counts_the_calls_without_the_rows_that_are_there(
    measure: Callable[..., dict[str, Any]], tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch, rubric: str
) -> None:
    monkeypatch.setattr("evals.reward_model.plan.check_engine", lambda options: None)
    source, argv = write(tmp_path / "x.jsonl", PAIRS), ("--judge", "m", "--read", "text", "--rubric", rubric)
    engine = scored("m", good=5, fair=2, poor=1) if rubric == "additive" else comparing("m", lambda first, second: "A")
    measure(source, {"m": engine}, *argv, "--samples", "1", "--limit", "3")
    n_asked = len(engine.asked)
    capsys.readouterr()
    measure(source, {"m": engine}, *argv, "--samples", "1", "--dry-run", "--json")
    plan = json.loads(capsys.readouterr().out)
    n_there, n_calls = (6, 2) if rubric == "additive" else (3, 2)
    assert (plan["benchmark"], plan["items"], plan["answers"]) == ("JudgeBench", 4, 8)
    assert (plan["judges"][0]["calls"], plan["judges"][0]["rows_there"]) == (n_calls, n_there)
    assert len(engine.asked) == n_asked == 6


def test_a_dry_run_says_the_benchmark_and_the_calls(
    measure: Callable[..., dict[str, Any]], tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evals.reward_model.plan.check_engine", lambda options: None)
    argv = ("--judge", "m", "--read", "text", "--dry-run")
    with pytest.raises(ValueError, match="not enough values"):  # nothing was written
        measure(write(tmp_path / "rb2.jsonl", V2), {"m": scored("m")}, *argv)
    assert "RewardBench 2: 4 items with 13 answers" in (printed := capsys.readouterr().out) and "39 calls" in printed
