"""Rounds that another model judges than the parent: one in this process, one behind a server, a panel."""

import json
import re
import tomllib
import weakref
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from console.command import parse
from console.errors import EngineError, InputError
from engines.local.transformers_engine import TransformersEngine
from engines.options import EngineOptions, open_engine
from judges.judging.judge import open_judge
from records import Store
from tests.openai_server import Body, Server, completion, token
from tests.tiny import save_tiny_model
from tests.trainer.loop.test_loop import SECONDS, SHORT, loops, run_loops
from tests.trainer.loop.test_loop_variants import ledger, loop, recipe_of, rows
from trainer.loop.__main__ import main
from trainer.loop.recipe import Config


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A judge that is no model of the run."""
    return save_tiny_model(tmp_path_factory.mktemp("judge") / "other", seed=7)


def write_recipe(folder: Path, model: Path, other: Path) -> Path:
    (folder / "ift.jsonl").write_text("".join(f'{{"prompt": "say {n}", "response": "point {n}"}}\n' for n in range(2)))
    (folder / "tiny.toml").write_text(recipe_of(model, folder / "ift.jsonl"))
    (folder / "other").symlink_to(other)
    labelled = [{"prompt": f"Q{n}", "chosen": f"a long and good answer {n}", "rejected": "bad"} for n in range(4)]
    (folder / "labelled.jsonl").write_text("".join(json.dumps(row) + "\n" for row in labelled))
    return folder / "tiny.toml"


@pytest.fixture
def recipe(tiny_model: Path, other: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_recipe(tmp_path, tiny_model, other)


@pytest.fixture(scope="module")
def by_other(tiny_model: Path, other: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runs `tiny`, whose two rounds another model judges, and `own`, with one round by the parent."""
    base = tmp_path_factory.mktemp("by_other")
    path = write_recipe(base, tiny_model, other)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(base)
        flags = ("--monitors.labelled", "labelled.jsonl")
        loop(path, "--judge.engine.model", "other", "--iterations", "3", *flags)
        loop(path, "--name", "own", *flags)
    return base / "runs"


def fingerprint(model: str | Path) -> str:
    """Return the fingerprint that a model has as the recipe's judge."""
    options = replace(Config().judge, rubric=str(SHORT / "short.toml"))
    return open_judge(open_engine(EngineOptions(model=str(model))), options, 0).fingerprint


def score_of(body: Body) -> int:
    """Return a number from 0 to 5 that the question alone fixes."""
    return blake2b(json.dumps(body["messages"]).encode()).digest()[0] % 6


def judgment(body: Body) -> tuple[int, Body]:
    """Reply as a server that lists the likeliest tokens."""
    digit = str(score_of(body))
    tops = {str(number): -0.2 if str(number) == digit else -4.0 for number in range(6)}
    tokens = [token(text, {text: -0.1}) for text in ("Score", ":", " ")] + [token(digit, tops)]
    return completion(f"Score: {digit}", logprobs=tokens)


@pytest.fixture
def big(server: Server) -> Server:
    """A server with a judge."""
    server.answer = judgment
    server.get = lambda _: (200, {"data": [{"id": "big", "root": "big-v1"}]})
    return server


def test_another_model_judges_every_round_and_its_fingerprint_is_in_the_ledger(by_other: Path, other: Path) -> None:
    run, judge = by_other / "tiny", fingerprint(other)
    lines = ledger(run)
    assert lines["iter2"]["judge"] == lines["iter3"]["judge"] == judge != fingerprint(run / "iter1" / "model")
    judged = rows(run / "iter2" / "judgments.jsonl")
    assert len(judged) == 9 and {row["judge"] for row in judged} == {judge}
    by_answer = {row["response"]: row["score"] for row in judged}
    for pair in rows(run / "iter2" / "pairs.jsonl"):
        assert pair["chosen_score"] == by_answer[pair["chosen"][0]["content"]] and pair["judge"] == judge


def test_held_out_scores_are_the_judges_and_judge_accuracy_is_the_models_own(by_other: Path, other: Path) -> None:
    def figures(name: str, number: int) -> dict[str, Any]:
        measured: dict[str, Any] = json.loads((by_other / name / f"iter{number}" / "metrics.json").read_text())
        return measured

    judged = rows(by_other / "tiny" / "eval" / "judgments.jsonl")
    of_judge = [row["score"] for row in judged if row["judge"] == fingerprint(other)]
    means = [figures("tiny", number)["monitors"]["mean_score"] for number in range(4)]
    assert sum(means) / 4 == pytest.approx(sum(of_judge) / len(of_judge)) and len(of_judge) == 8
    for number in (0, 1):  # the same models in both runs
        mine, theirs = figures("tiny", number), figures("own", number)
        assert mine["monitors"]["judge_accuracy"] == theirs["monitors"]["judge_accuracy"] is not None
        assert mine["mean_score"] == theirs["mean_score"]  # by iter1, in both
        assert mine["monitors"]["mean_score"] != theirs["monitors"]["mean_score"]


def test_the_parent_is_freed_before_another_model_is_loaded(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load, engines, n_alive = TransformersEngine.load, list[weakref.ref[TransformersEngine]](), list[int]()

    def counted(*arguments: Any, **more: Any) -> TransformersEngine:
        n_alive.append(sum(engine() is not None for engine in engines))
        engine = load(*arguments, **more)
        engines.append(weakref.ref(engine))
        return engine

    monkeypatch.setattr(TransformersEngine, "load", counted)
    loop(recipe, "--judge", "other", "--judge", "parent", "--judge", "iter0")
    assert len(n_alive) > 9 and set(n_alive) == {0}


def test_a_server_judges_the_rounds(recipe: Path, big: Server) -> None:
    run = loop(recipe, "--judge.engine.model", "big", "--judge.engine.base-url", big.url)
    judged = rows(run / "iter2" / "judgments.jsonl")
    assert len(judged) == 9 and all(round(row["score"]) in range(6) and row["usage"]["n_calls"] == 1 for row in judged)
    assert len(big.asked) == 9 + 3 * 2 and {body["model"] for body in big.asked} == {"big"}
    assert ledger(run)["iter2"]["judge"] == judged[0]["judge"]
    settings = tomllib.loads((run / "run.toml").read_text())["settings"]
    assert settings["judge"]["engine"]["base_url"] == big.url
    n_asked = len(big.asked)
    big.shutdown()
    loop(recipe, "--judge.engine.model", "big", "--judge.engine.base-url", big.url)  # nothing is left to ask
    assert len(big.asked) == n_asked


def test_a_judge_can_have_settings_of_its_own(recipe: Path, big: Server) -> None:
    Path("big.toml").write_text(f'model = "big"\nbase_url = "{big.url}"\nread = "text"\nsamples = 2\n')
    run = loop(recipe, "--judge.engine.model", "big.toml")
    judged = rows(run / "iter2" / "judgments.jsonl")
    assert {row["read"] for row in judged} == {"text"} and {len(row["replies"]) for row in judged} == {2}
    frozen = [row for row in rows(run / "eval" / "judgments.jsonl") if row["judge"] != judged[0]["judge"]]
    assert {row["read"] for row in frozen} == {"logprobs"}


def test_a_server_that_refuses_a_setting_judges_by_one_fingerprint(recipe: Path, big: Server) -> None:
    def refuses_seeds(body: Body) -> tuple[int, Body]:
        if "seed" in body:
            message = "Unsupported parameter: 'seed' is not supported with this model."
            return 400, {"error": {"message": message, "param": "seed", "code": "unsupported_parameter"}}
        return judgment(body)

    big.answer = refuses_seeds
    run = loop(recipe, "--judge.engine.model", "big", "--judge.engine.base-url", big.url, "--fresh")
    assert len({row["judge"] for row in rows(run / "iter2" / "judgments.jsonl")}) == 1
    assert [path.name for path in Path("runs").iterdir()] == ["tiny"]  # the second start set nothing aside


def test_a_panel_judges_with_the_parent_as_a_member(recipe: Path) -> None:
    run = loop(recipe, "--judge", "parent", "--judge", "other", "--panel-rule", "max")
    judged, own = rows(run / "iter2" / "judgments.jsonl"), fingerprint(run / "iter1" / "model")
    assert {row["read"] for row in judged} == {"panel"} and judged[0]["members"] == [own, fingerprint("other")]
    for row in judged:
        assert row["score"] == max(row["scores"]) and len(row["scores"]) == 2
    for judge in judged[0]["members"]:
        assert {row["judge"] for row in rows(run / "iter2" / f"judgments-{judge}.jsonl")} == {judge}
    assert ledger(run)["iter2"]["judge"] == judged[0]["judge"] not in judged[0]["members"]
    assert {row["judge"] for row in rows(run / "iter2" / "pairs.jsonl")} == {judged[0]["judge"]}
    held_out = [row for row in rows(run / "eval" / "judgments.jsonl") if row["read"] == "panel"]
    assert len({row["judge"] for row in held_out}) == 3  # each iteration is a member of its own panel


def test_iter1_and_the_parent_have_one_vote_as_long_as_they_are_one(
    recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = loop(recipe, "--judge", "iter1", "--judge", "parent", "--quorum", "2", "--iterations", "3")
    first, second = rows(run / "iter2" / "judgments.jsonl"), rows(run / "iter3" / "judgments.jsonl")
    assert {row["judge"] for row in first} == {fingerprint(run / "iter1" / "model")}
    assert {tuple(row["members"]) for row in second} == {
        (fingerprint(run / "iter1" / "model"), fingerprint(run / "iter2" / "model"))
    }
    assert "iter2 judging: 1 of the panel's 2 judges, because others are the same" in capsys.readouterr().err


def test_the_other_judge_checks_with_tools(recipe: Path) -> None:
    run = loop(recipe, "--judge.engine.model", "other", "--evidence.tool", "arithmetic")
    judged = rows(run / "iter2" / "judgments.jsonl")
    assert len(judged) == 9 and all(row["evidence"]["tool"] is not None for row in judged)
    assert {row["judge"] for row in judged}.isdisjoint({fingerprint("other"), fingerprint(run / "iter1" / "model")})


def test_temporal_pairs_are_judged_by_the_other_judge_on_both_sides(recipe: Path) -> None:
    run = loop(recipe, "--judge", "parent", "--judge", "other", "--round.rejected", "iter0")
    judges = [{row["judge"] for row in rows(run / "iter2" / f"{name}judgments.jsonl")} for name in ("", "initial_")]
    assert judges[0] == judges[1] and len(judges[0]) == 1


def rows_of(run: Path) -> dict[str, bytes]:
    paths = [*run.glob("iter2/*.jsonl"), *run.glob("eval/*.jsonl"), run / "ledger.jsonl"]
    return {str(path.relative_to(run)): SECONDS.sub(b"", path.read_bytes()) for path in paths}


@pytest.mark.slow
@pytest.mark.parametrize(
    "kills",
    [
        [("append", 55)],  # among the panel's judgments of iter2
        [("append", 17), ("append", 46), ("append", 60)],  # a judge's, the ledger
    ],
)
def test_a_loop_with_a_panel_killed_and_resumed_ends_with_the_same_rows(
    recipe: Path, tmp_path_factory: pytest.TempPathFactory, kills: list[tuple[str, int]]
) -> None:
    text = recipe.read_text().replace("[seeds]", f'[panel]\njudge = ["parent", "{Path("other").resolve()}"]\n[seeds]')
    recipe.write_text(text)
    runs = run_loops(tmp_path_factory.mktemp("killed"), loops(recipe, ["one"], kills))
    whole = rows_of(runs.pop("one"))
    assert len([name for name in whole if "judgments-" in name]) >= 4
    for name, run in runs.items():
        assert rows_of(run) == whole, name


def stopped_within(monkeypatch: pytest.MonkeyPatch, file: str, n: int) -> None:
    """Stop the next command at the `n`-th row of iter2's `file`."""
    append, count = Store.append, 0

    def counting(self: Store[Any], row: Any) -> None:
        nonlocal count
        count += self.path.parent.name == "iter2" and self.path.name == file
        if count == n:
            raise KeyboardInterrupt
        append(self, row)

    monkeypatch.setattr(Store, "append", counting)


def test_other_judges_are_refused_on_going_on_and_named(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stopped_within(patch, "judgments.jsonl", 3)
        loop(recipe, "--judge.engine.model", "other")
    with pytest.raises(InputError, match=r"judge\.engine\.model was 'other', now 'parent'"):
        loop(recipe)
    with pytest.raises(InputError, match=r"judge\.engine\.model was 'other', now 'iter1'"):
        loop(recipe, "--judge.engine.model", "iter1")
    with pytest.raises(InputError, match=r"panel\.judge was \[\], now \['parent', 'other'\]"):
        loop(recipe, "--judge", "parent", "--judge", "other")
    n_before = len(rows(Path("runs/tiny/iter2/judgments.jsonl")))
    run = loop(recipe, "--judge.engine.model", "other")
    assert n_before == 2 and len(rows(run / "iter2" / "judgments.jsonl")) == 9


@pytest.mark.parametrize("flags", [("--judge.engine.model", "other"), ("--judge", "parent", "--judge", "other")])
def test_a_judge_that_was_replaced_within_a_round_is_named(
    recipe: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...]
) -> None:
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stopped_within(patch, "judgments.jsonl", 3)
        loop(recipe, *flags)
    Path("other").unlink()
    save_tiny_model(Path("other"), seed=8)
    with pytest.raises(
        InputError, match=r"iter2/judgments\.jsonl: holds judgments of another judge.*move the file away"
    ):
        loop(recipe, *flags)
    Path("runs/tiny/iter2/judgments.jsonl").rename("moved.jsonl")
    assert ledger(loop(recipe, *flags))["iter2"]["counts"]["judged"] == 9


def test_a_judge_that_was_replaced_between_rounds_is_reported(
    recipe: Path, big: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ("--judge.engine.model", "big", "--judge.engine.base-url", big.url)
    loop(recipe, *flags)
    big.get = lambda _: (200, {"data": [{"id": "big", "root": "big-v2"}]})
    loop(recipe, *flags, "--iterations", "3")
    assert re.search(r"iter3 was judged by \w{16}, iter2 by \w{16}: the judge's model", capsys.readouterr().err)


def test_a_run_of_a_version_without_such_judges_goes_on(recipe: Path, finished: Path) -> None:
    run = finished
    table = tomllib.loads((run / "run.toml").read_text())
    del table["settings"]["judge"]["engine"], table["settings"]["panel"]
    (run / "run.toml").write_text(tomli_w.dumps(table))
    assert list(ledger(loop(recipe, "--iterations", "3"))) == ["iter1", "iter2", "iter3"]
    with pytest.raises(InputError, match=r"judge\.engine\.model was 'parent', now 'other'"):
        loop(recipe, "--iterations", "3", "--judge.engine.model", "other")


BAD = [
    (["--judge.engine.model", "nope"], r"no model 'nope'"),
    (
        ["--judge.calibration", "c.toml"],
        r"--judge\.calibration is of one model, .* name that with --judge\.engine\.model",
    ),
    (["--judge.engine.model", "iter2"], r"--judge\.engine\.model iter2: iter2 does not exist yet"),
    (["--judge.engine.model", "iter1", "--judge.engine.run", "nope"], "no run 'nope'"),
    (["--judge.engine.batch-size", "4"], r"the parent judges by the settings of \[engine\]"),
    (["--judge.engine.base-url", "http://localhost:1/v1"], r"name another model with --judge\.engine\.model"),
    (["--judge.engine.model", "x", "--judge.engine.base-url", "localhost"], "begins with neither http"),
    (["--judge", "other"], r"a panel has at least two judges: .* name the only one with --judge\.engine\.model"),
    (["--judge", "other", "--judge", "other"], "--judge other: the panel has the same judge already"),
    (["--judge", "parent", "--judge", "nope"], "no model 'nope'"),
    (["--judge", "parent", "--judge", "iter3"], "--judge iter3: iter3 does not exist yet"),
    (["--judge", "parent", "--judge", "other", "--quorum", "3"], "--quorum must be from 1"),
    (["--quorum", "2"], "--quorum and --panel-rule are for a panel"),
    (["--judge", "parent", "--judge", "other", "--judge.engine.model", "other"], "both name who judges"),
    (["--judge", "parent", "--judge", "other", "--evidence.tool", "arithmetic"], "a panel has no tools"),
    (["--judge", "parent", "--judge", "pair.toml"], "is of comparisons"),
    (["--judge.engine.model", "pair.toml"], "compares two answers, and a round needs scores"),
    (["--judge.engine.model", "ten.toml"], r"has another scale than --judge\.rubric additive"),
    (
        ["--judge.engine.model", "other", "--round.meta", "--judge.read", "text", "--judge.samples", "2"],
        r"--round\.meta learns from the model's own judgments",
    ),
]


@pytest.mark.parametrize(("flags", "message"), BAD, ids=[" ".join(flags) for flags, _ in BAD])
@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_judges_that_cannot_be_are_refused_at_once(
    recipe: Path, flags: list[str], message: str, dry: tuple[str, ...]
) -> None:
    Path("pair.toml").write_text('model = "other"\nrubric = "pairwise"\n')
    Path("ten.toml").write_text('model = "other"\nrubric = "single_10"\n')
    with pytest.raises(InputError, match=message):
        loop(recipe, *flags, *dry)
    assert not Path("runs/tiny/iter1").exists()


def test_a_server_that_is_down_is_named_before_anything_is_trained(recipe: Path) -> None:
    flags = ("--judge.engine.model", "big", "--judge.engine.base-url", "http://127.0.0.1:9/v1")
    with pytest.raises(EngineError, match=r"127\.0\.0\.1:9/v1: cannot be reached: is --judge\.engine\.base-url right"):
        loop(recipe, *flags)
    assert not Path("runs/tiny/iter1/model").exists()


def test_a_server_that_goes_away_stops_the_round_which_goes_on_later(recipe: Path, big: Server) -> None:
    def fails_later(body: Body) -> tuple[int, Body]:
        return judgment(body) if len(big.asked) < 4 else (401, {"error": {"message": "no"}})

    flags = ("--judge.engine.model", "big", "--judge.engine.base-url", big.url, "--judge.engine.concurrency", "1")
    big.answer = fails_later
    with pytest.raises(EngineError, match="the same command"):
        loop(recipe, *flags, "--judge.engine.max-failures-in-row", "2")
    assert not Path("runs/tiny/iter2/pairs.jsonl").exists()
    big.answer = judgment
    run = loop(recipe, *flags)
    assert len(rows(run / "iter2" / "judgments.jsonl")) == 9
    assert all(row["score"] is not None for row in rows(run / "iter2" / "judgments.jsonl"))


@pytest.mark.usefixtures("wide_screen")
def test_a_dry_run_says_who_judges_and_what_it_is_asked(
    recipe: Path, big: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    url = big.url.replace("http://", "http://ann:sk-verysecret@")
    dry = ("--dry-run", "--estimate.no-measure")
    loop(recipe, "--judge.engine.model", "big", "--judge.engine.base-url", url, *dry)
    text = capsys.readouterr().out
    assert f"judged by big at {big.url.replace('http://', 'http://***@')}; calls" in text and "verysecret" not in text
    assert re.search(r"\| iter2 judging by big +\| +9 \|", text)
    assert re.search(r"\| held-out scores by big +\| +6 \|", text) and re.search(r"\| held-out scores +\| +6 \|", text)
    loop(recipe, "--judge", "parent", "--judge", f"big@{url}", *dry, "--json")
    table = {row["stage"]: row for row in json.loads(capsys.readouterr().out)}
    assert table["iter2 judging by iter1"]["calls"] == table["iter2 judging by big"]["calls"] == 9
    assert big.asked == [] and big.gets == []


def test_the_time_of_a_model_that_is_not_the_runs_own_is_not_guessed(
    recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loop(recipe, "--judge", "iter1", "--judge", "other", "--dry-run", "--json")
    table = json.loads(capsys.readouterr().out)
    minutes = {row["stage"]: row["minutes"] for row in table}
    assert minutes["iter2 judging by other"] is None and minutes["iter2 judging by iter1"] > 0
    assert table[-1]["stage"] == "all, with the time of the run's own models" and table[-1]["minutes"] > 0


def test_a_wrong_key_names_the_nearest(recipe: Path) -> None:
    recipe.write_text(recipe.read_text() + '[judge.engine]\nmodle = "x"\n')
    with pytest.raises(InputError, match=r"unknown key 'judge\.engine\.modle'; did you mean 'model'"):
        main(parse(Config, ["--config", str(recipe)], "loop"))
