"""The whole command with a scripted model: what it asks, what it keeps, and that no interruption changes the result."""

import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from console.command import parse
from console.errors import EngineError, InputError, TrainingError
from engines.protocol import Completion, Request, Sampling
from engines.scripted import ScriptedEngine
from records import Prompt, read_rows
from trainer.prompts.__main__ import main
from trainer.prompts.make import read_sources
from trainer.prompts.options import Config
from trainer.prompts.seeds.reading import PROMPTS, seed_prompts

VERBS = (
    "Describe", "Explain", "Compare", "Praise", "Mock", "Translate", "Rank", "Define", "Recall", "Invent",
    "Name", "Sketch", "Judge", "Defend", "Review", "Outline", "Question", "Celebrate", "Summarise", "Quote",
)  # fmt: skip
THINGS = (
    "rivers", "violins", "bakeries", "glaciers", "sonnets", "engines", "orchards", "treaties", "comets", "looms",
    "bridges", "kites", "lanterns", "harbours", "beetles", "marbles", "sundials", "quilts", "ferries", "turnips",
)  # fmt: skip
WAYS = ("to a curious child", "as a short rhyme", "in plain words", "with two examples", "for a busy farmer")
SMALL = ("--n", "30", "--completions", "4", "--out", "new.jsonl")


def lists(request: Request) -> str:
    """Go on with a list, and then answer the first task, as a later model does."""
    draw = Random(request.seed)
    tasks = [f"{draw.choice(VERBS)} {draw.choice(THINGS)} {draw.choice(WAYS)}." for _ in range(4)]
    return "\n".join(f"{n}. {task}" for n, task in enumerate(tasks, start=9)) + "\n\nAnswer 9: Describe nothing at all."


class Backwards(ScriptedEngine):
    """Finishes the last request first."""

    def generate(
        self, requests: Sequence[Request], sampling: Sampling, done: Collection[int] = ()
    ) -> Iterator[Completion]:
        yield from reversed(list(super().generate(requests, sampling, done)))


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ScriptedEngine:
    """Every command asks this engine and works in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return use(monkeypatch, ScriptedEngine(reply=lists))


def use(monkeypatch: pytest.MonkeyPatch, engine: ScriptedEngine) -> ScriptedEngine:
    monkeypatch.setattr("trainer.prompts.make.open_engine", lambda options: engine)
    return engine


def run(*arguments: str) -> None:
    main(parse(Config, arguments, "prompts"))


def made(path: str = "new.jsonl") -> list[str]:
    return [str(row.prompt) for row in read_rows(Path(path), Prompt)]


def report(path: str = "new.report.json") -> Any:
    return json.loads(Path(path).read_text())


def shown(request: Request) -> list[str]:
    lines = request.messages[0]["content"].split("\n\n")[0].splitlines()
    assert [line.split(". ")[0] for line in lines] == [str(n) for n in range(1, 9)]
    return [line.split(". ", 1)[1] for line in lines]


@pytest.mark.usefixtures("wide_screen")
def test_the_prompts_are_new_and_ready_for_the_loop(capsys: pytest.CaptureFixture[str]) -> None:
    run(*SMALL)
    rows = seed_prompts(Path("new.jsonl"))
    assert len(rows) == len(made()) == 30 and {row.source for row in rows} == {"self-instruct scripted"}
    assert not set(made()) & {prompt.prompt for prompt in seed_prompts(None)}
    assert not any("nothing at all" in prompt for prompt in made()), "answers are cut"
    counts = report()["counts"]
    assert counts["n_tasks"] == 30 + sum(counts["dropped"].values())
    assert "| new prompts |" in capsys.readouterr().out


def test_each_question_shows_six_seeds_and_two_of_what_the_model_wrote(engine: ScriptedEngine) -> None:
    run(*SMALL)
    seeds = {" ".join(str(prompt.prompt).split()) for prompt in seed_prompts(None)}
    for number, request in enumerate(engine.asked):
        tasks = shown(request)
        n_seeds = sum(task in seeds for task in tasks)
        assert len(set(tasks)) == 8 and n_seeds == (8 if number < 4 else 6), "the first batch has nothing else to show"
        assert set(tasks) - seeds <= set(made())
    assert len({request.seed for request in engine.asked}) == len(engine.asked)
    assert "9 to 16" in engine.asked[0].messages[0]["content"]


def test_the_shares_of_what_is_shown_are_flags(engine: ScriptedEngine) -> None:
    run(*SMALL, "--human", "4", "--generated", "4", "--tasks", "3")
    seeds = {" ".join(str(prompt.prompt).split()) for prompt in seed_prompts(None)}
    assert sum(task in seeds for task in shown(engine.asked[-1])) == 4
    assert "9 to 11" in engine.asked[0].messages[0]["content"]


@pytest.mark.parametrize("n_before", [1, 3, 4, 9])
def test_an_interruption_changes_nothing(monkeypatch: pytest.MonkeyPatch, n_before: int) -> None:
    run(*SMALL, "--out", "whole.jsonl")
    n_whole = len(Path("whole.completions.jsonl").read_text().splitlines())

    def stop(request: Request) -> str:
        if len(stopping.asked) > n_before:
            raise KeyboardInterrupt
        return lists(request)

    stopping = use(monkeypatch, ScriptedEngine(reply=stop))
    with pytest.raises(KeyboardInterrupt):
        run(*SMALL)
    assert not Path("new.jsonl").exists()
    resumed = use(monkeypatch, ScriptedEngine(reply=lists))
    run(*SMALL)
    assert Path("new.jsonl").read_bytes() == Path("whole.jsonl").read_bytes()
    assert report()["counts"] == report("whole.report.json")["counts"]
    assert n_before + len(resumed.asked) == n_whole, "nothing was asked twice"


def test_the_order_in_which_completions_come_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    run(*SMALL)
    use(monkeypatch, Backwards(reply=lists))
    run(*SMALL, "--out", "backwards.jsonl")
    assert Path("new.jsonl").read_bytes() == Path("backwards.jsonl").read_bytes()
    run(*SMALL, "--out", "backwards.jsonl", "--refilter")
    assert Path("new.jsonl").read_bytes() == Path("backwards.jsonl").read_bytes()


def test_another_seed_makes_other_prompts() -> None:
    run(*SMALL)
    run(*SMALL, "--seed", "1", "--out", "other.jsonl")
    assert made() != made("other.jsonl")


def test_what_is_finished_is_not_asked_for_again(engine: ScriptedEngine, capsys: pytest.CaptureFixture[str]) -> None:
    run(*SMALL)
    n_asked, table = len(engine.asked), capsys.readouterr().out
    run(*SMALL)
    assert len(engine.asked) == n_asked and capsys.readouterr().out == table
    with pytest.raises(InputError, match="temperature was 0.6, now 0.9"):
        run(*SMALL, "--temperature", "0.9")


@pytest.mark.parametrize("flag", ["seeds", "exclude", "against"])
def test_a_file_that_was_edited_since_is_another_one(flag: str) -> None:
    path = Path("own.jsonl")
    rows = [{"prompt": f"Write a line about {thing} and their makers."} for thing in THINGS]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    given = [str(path)] if flag == "seeds" else [f"--{flag}", str(path)]
    run(*given, *SMALL)
    run(*given, *SMALL)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows[1:]))
    with pytest.raises(InputError, match=f"made with other settings: {flag} digest was"):
        run(*given, *SMALL)


def test_a_report_of_an_earlier_version_is_still_good(engine: ScriptedEngine) -> None:
    run(*SMALL)
    older = report()
    older["settings"] = {name: value for name, value in older["settings"].items() if not name.endswith("digest")}
    Path("new.report.json").write_text(json.dumps(older))
    n_asked = len(engine.asked)
    run(*SMALL)
    assert len(engine.asked) == n_asked


def test_more_prompts_go_on_from_those_that_are_there(engine: ScriptedEngine) -> None:
    run(*SMALL)
    few, n_asked = made(), len(engine.asked)
    run(*SMALL, "--n", "40")
    assert made()[:30] == few and len(made()) == 40
    engine.asked.clear()
    run(*SMALL, "--n", "40", "--out", "at_once.jsonl")
    assert made("at_once.jsonl") == made() and len(engine.asked) > n_asked


def test_a_file_of_someone_else_is_not_overwritten() -> None:
    Path("new.jsonl").write_text('{"prompt": "mine"}\n')
    with pytest.raises(InputError, match="--fresh to set it aside"):
        run(*SMALL)
    run(*SMALL, "--fresh")
    assert Path("new.jsonl.1").read_text() == '{"prompt": "mine"}\n' and len(made()) == 30


def test_completions_are_filtered_again_without_a_model(engine: ScriptedEngine) -> None:
    run(*SMALL)
    before, n_asked, counts = made(), len(engine.asked), report()["counts"]
    with pytest.raises(TrainingError, match="similar"):
        run(*SMALL, "--refilter", "--max-rouge", "0.4")
    assert len(engine.asked) == n_asked and 0 < len(made()) < 30 and set(made()) <= set(before)
    assert [str(row.prompt) for row in read_rows(Path("new.jsonl.1"), Prompt)] == before, "nothing is deleted"
    run(*SMALL, "--refilter")
    assert made() == before and report()["counts"] == counts


def test_refiltering_needs_completions() -> None:
    with pytest.raises(InputError, match="no completions"):
        run(*SMALL, "--refilter")


def test_prompts_of_earlier_rounds_are_left_out() -> None:
    run(*SMALL, "--out", "first.jsonl")
    run(*SMALL, "--exclude", "first.jsonl")
    assert not set(made()) & set(made("first.jsonl"))
    assert report()["counts"]["dropped"]["used before"] > 0


def test_a_run_gives_its_used_and_its_held_out_prompts(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "mine"
    for name in ("iter2", "iter3", "eval"):
        (folder / name).mkdir(parents=True)
        (folder / name / "prompts.jsonl").write_text(json.dumps({"prompt": f"Tell me of {name}."}) + "\n")
    (folder / "run.toml").write_text("")
    for flags in (("--run", "mine"), ("--model", "iter3")):
        sources = read_sources(parse(Config, flags, "prompts"))
        assert sources.used == ["Tell me of iter2.", "Tell me of iter3."]
        assert sources.evaluation == ["Tell me of eval."]
    assert read_sources(parse(Config, (), "prompts")).used == []


def test_evaluation_prompts_are_dropped_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    run(*SMALL, "--out", "first.jsonl")
    Path("eval.json").write_text(json.dumps([{"instruction": prompt} for prompt in made("first.jsonl")[:5]]))
    capsys.readouterr()
    run(*SMALL, "--against", "eval.json", "--json")
    printed = capsys.readouterr()
    counts = json.loads(printed.out)["counts"]
    assert counts["dropped"]["evaluation prompt"] >= 5 and len(counts["contaminated"]) == 5
    assert "evaluation prompt (the same text)" in printed.err
    assert not set(made()) & set(made("first.jsonl")[:5])


def test_too_low_a_yield_stops_with_what_was_dropped_by_what(monkeypatch: pytest.MonkeyPatch) -> None:
    seed = str(next(iter(seed_prompts(None))).prompt)
    engine = use(monkeypatch, ScriptedEngine(reply=lambda _: f"9. {seed}\n10. Look\n11. Explain salt to a clever cat."))
    with pytest.raises(TrainingError) as caught:
        run(*SMALL, "--patience", "3")
    assert len(engine.asked) == 4 * (1 + 3)
    message = str(caught.value)
    assert "only 1 of 30" in message and "duplicate 31" in message and "too short 16" in message
    assert made() == ["Explain salt to a clever cat."], "what there is, is kept"


def test_a_model_that_writes_no_list_is_explained_and_leaves_no_empty_file(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, ScriptedEngine(reply=lambda _: "I would rather not."))
    with pytest.raises(TrainingError, match="only 0 of 30 prompts: 8 completions, of which 8 without a list"):
        run(*SMALL, "--patience", "2")
    assert not Path("new.jsonl").exists()


def test_a_failed_call_is_counted_and_made_up_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def unlucky(request: Request) -> str:
        if request.seed % 3 == 0:
            raise RuntimeError("call failed: busy")
        return lists(request)

    use(monkeypatch, ScriptedEngine(reply=unlucky))
    run(*SMALL)
    assert len(made()) == 30 and report()["counts"]["n_failed"] > 0


def test_a_server_that_is_down_stops_the_command_and_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def down(_: Request) -> str:
        raise RuntimeError("call failed: connection refused")

    use(monkeypatch, ScriptedEngine(reply=down))
    with pytest.raises(EngineError, match="all 4 calls of a batch failed: call failed: connection refused"):
        run(*SMALL)
    use(monkeypatch, ScriptedEngine(reply=lists))
    run(*SMALL)
    assert report()["counts"]["n_failed"] == 0


def test_a_dry_run_shows_the_first_question_and_asks_nothing(
    engine: ScriptedEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    run(*SMALL, "--dry-run")
    printed = capsys.readouterr().out
    assert "64 seeds (64 can be shown)" in printed and "\n8. " in printed
    assert not engine.asked and not list(Path().iterdir())


def test_real_seeds_are_shown_where_they_are_short_enough(data: Path, engine: ScriptedEngine) -> None:
    run(str(data / "self-instruct" / "seed_tasks.jsonl"), *SMALL)
    assert len(made()) == 30 and len(shown(engine.asked[0])) == 8


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--n", "0"), "--n"),
        (("--completions", "0"), "--completions"),
        (("--human", "0"), "--human"),
        (("--human", "70"), "64 seeds"),
        (("--max-rouge", "0"), "--max-rouge"),
        (("--language", "klingon"), "--language klingon is not known"),
        (("--exclude", "nowhere.jsonl"), "nowhere.jsonl: no such file"),
        (("--refilter", "--fresh"), "--refilter"),
    ],
)
def test_a_wrong_flag_is_named_before_anything_is_asked(
    engine: ScriptedEngine, flags: tuple[str, ...], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        run(*flags)
    assert not engine.asked and PROMPTS.exists()
