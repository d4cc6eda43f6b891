"""The arms give the recipes that they say, and the whole experiment on a tiny random model, resumed after a stop."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from console.errors import InputError
from experiments.instruction_following import run_arms
from experiments.instruction_following.arms import ARMS, Arm
from experiments.instruction_following.circle import partly_checked
from experiments.instruction_following.measure import few_labels, rank_correlation
from experiments.instruction_following.options import RECIPE, Config, Size
from experiments.instruction_following.recipe import read_recipe, recipe, settings_of, split, unaided
from experiments.instruction_following.replay import judging_examples
from experiments.instruction_following.results import ArmResult
from experiments.instruction_following.run_arms import run_all
from judges.tools.constraints.rows import CheckedConstraint
from judges.tools.rows import Evidence
from records import Judgment, Prompt, Response, read_rows
from records.rows import Constraint
from tests.conftest import ROOT
from trainer.loop.recipe import check
from trainer.monitors.following import CheckedAnswer
from trainer.runs.ledger import LedgerLine

SHORT = {"instruction_id_list": ["length_constraints:number_words"]}
SIZE = Size(unseen_answers=2, content=3, labels=3, replayed=4, ifeval_prompts=2, ifeval_tokens=4)
NO_COMMA = Constraint(kind="punctuation:no_comma")


@pytest.fixture(scope="module")
def tiny_recipe(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe that takes seconds, with prompts whose constraint a random model sometimes follows."""
    folder = tmp_path_factory.mktemp("recipe")
    kwargs = [{"relation": "at least", "num_words": 4}]
    rows = [{"id": f"p{n}", "prompt": f"say {n}, long", **SHORT, "kwargs": kwargs} for n in range(18)]
    (folder / "prompts.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (folder / "ift.jsonl").write_text("".join(f'{{"prompt": "say {n}", "response": "point {n}"}}\n' for n in range(4)))
    path = folder / "tiny.toml"
    path.write_text(
        f"""
        iterations = 3
        [engine]
        model = "{tiny_model}"
        batch_size = 16
        [seeds]
        prompts = "{folder / "prompts.jsonl"}"
        ift = "{folder / "ift.jsonl"}"
        eft = "constrained"
        eft_limit = 2
        [candidates]
        prompts = 4
        n = 4
        max_new_tokens = 10
        temperature = 1.0
        top_p = 1.0
        [judge]
        rubric = "constraints"
        max_new_tokens = 4
        [evidence]
        tool = "constraints"
        [pairs]
        evidence = "more-supported"
        [sft]
        learning_rate = 1e-3
        batch_size = 2
        [dpo]
        learning_rate = 1e-3
        batch_size = 2
        [eval]
        prompts = 5
        n = 3
        score = false
        compare = false
        [monitors]
        kl = false
        [gates]
        follows = {{min = 0.0}}
        """
    )
    return path


@pytest.fixture(scope="module")
def run(tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[ArmResult]]:
    """Run arms in a folder that the calls share by name."""
    out = tmp_path_factory.mktemp("instruction_following")
    few = out / "unseen.jsonl"
    few.write_text("".join(run_arms.UNSEEN.read_text().splitlines(keepends=True)[:4]))

    def go(folder: str, *arms: str, **changes: object) -> list[ArmResult]:
        config = Config(size=SIZE, out=out / folder, recipe=tiny_recipe, **changes)  # type: ignore[arg-type]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(run_arms, "UNSEEN", few)
            return run_all([(arm, 0) for arm in arms], read_recipe(tiny_recipe), config)

    go.out = out  # type: ignore[attr-defined]
    return go


def folder_of(run: Callable[..., list[ArmResult]], arm: str) -> Path:
    """Return the run of an arm in the folder `one`."""
    [folder] = run.out.glob(f"one/*/seed0/{arm}")  # type: ignore[attr-defined]
    return folder


def lines_of(run: Callable[..., list[ArmResult]], arm: str) -> list[LedgerLine]:
    return list(read_rows(folder_of(run, arm) / "ledger.jsonl", LedgerLine))


def test_the_recipe_of_the_experiment_is_one_of_the_loop_and_has_prompts_enough() -> None:
    base = read_recipe(RECIPE)
    parts = split(base, seed=3)
    assert len(parts.held_out) == base.eval.prompts and sorted(parts.rounds) == [2, 3]
    assert base.gates and base.evidence.verify == "cap"


@pytest.mark.parametrize("name", ARMS)
def test_every_arm_is_a_recipe_that_the_loop_takes(name: str) -> None:
    config = recipe(ARMS[name], read_recipe(RECIPE), seed=5)
    check(config)
    check(unaided(config))
    assert config.seed == 5


def test_an_arm_changes_what_its_name_says_and_nothing_else() -> None:
    base = read_recipe(RECIPE)
    plain = settings_of(recipe(ARMS["checked"], base, 0))

    def changed(name: str) -> set[str]:
        settings = settings_of(recipe(ARMS[name], base, 0))
        return {key for key in plain if plain[key] != settings[key]}

    assert plain == settings_of(base) == settings_of(recipe(ARMS["checked_replay"], base, 0))
    assert changed("no_eft") == {"seeds"} and not recipe(ARMS["no_eft"], base, 0).seeds.judging
    assert changed("constraints_only") == {"evidence"} and changed("own") == {"evidence", "pairs"}
    assert base.pairs.evidence == "more-supported" and recipe(ARMS["own"], base, 0).pairs.evidence == "any"
    assert recipe(ARMS["mixed_5"], base, 0).pairs == base.pairs
    assert recipe(ARMS["constraints_only"], base, 0).evidence.verify == "share"
    assert not recipe(ARMS["own"], base, 0).evidence.enabled and recipe(ARMS["mixed_5"], base, 0).evidence.enabled
    assert changed("passing") == {"evidence", "round"}
    assert recipe(ARMS["passing"], base, 0).round.learn == "perfect"
    assert recipe(ARMS["own_margin"], base, 0).pairs.widest == 0.5
    assert recipe(ARMS["own_text"], base, 0).judge.read == "text"
    assert recipe(ARMS["frozen"], base, 0).judge.engine.model == "iter1"
    assert recipe(ARMS["panel"], base, 0).panel.judge == ("parent", "iter1")
    assert changed("frozen") == {"evidence", "pairs", "judge"}
    assert changed("panel") == {"evidence", "pairs", "judge", "panel"}


def test_every_arm_is_measured_by_the_models_own_score() -> None:
    base = read_recipe(RECIPE)
    for name in ("own", "frozen", "panel", "constraints_only"):
        assert unaided(recipe(ARMS[name], base, 0)).judge == unaided(base).judge
        assert not unaided(recipe(ARMS[name], base, 0)).evidence.enabled


@pytest.mark.parametrize(
    ("before", "after", "needs"),
    [
        ('tool = "constraints"', 'tool = "arithmetic"', r"\[evidence\] tool = \"constraints\""),
        ("n = 2", "n = 1", r"\[eval\] n = 2"),
        ("judge = 1", "judge = 2", r"\[eval\] judge = 1"),
    ],
)
def test_a_recipe_that_is_no_base_for_the_arms_is_refused(tmp_path: Path, before: str, after: str, needs: str) -> None:
    path = tmp_path / "other.toml"
    path.write_text(RECIPE.read_text().replace(before, after))
    with pytest.raises(InputError, match=f"other.toml: the experiment needs {needs}"):
        read_recipe(path)


def test_prompts_without_constraints_are_refused(tmp_path: Path) -> None:
    (tmp_path / "prompts.jsonl").write_text('{"id": "p7", "prompt": "hello"}\n')
    path = tmp_path / "other.toml"
    path.write_text(RECIPE.read_text().replace('prompts = "constrained"', f'prompts = "{tmp_path}/prompts.jsonl"'))
    with pytest.raises(InputError, match="1 prompts have no constraint that a program can check, such as p7"):
        split(read_recipe(path), 0)


def test_a_share_of_the_prompts_keeps_its_constraints_and_all_keep_their_texts() -> None:
    prompts = [Prompt(id=str(n), prompt=f"p{n}", constraints=[NO_COMMA]) for n in range(40)]
    parts = {seed: partly_checked(prompts, 0.25, seed) for seed in (0, 1)}
    drawn = {seed: [prompt.id for prompt in part if prompt.constraints] for seed, part in parts.items()}
    assert len(drawn[0]) == len(drawn[1]) == 10 and drawn[0] != drawn[1]
    assert [prompt.prompt for prompt in parts[0]] == [prompt.prompt for prompt in prompts]
    assert parts[0] == partly_checked(prompts, 0.25, 0)


def test_half_of_the_judging_examples_follow_everything_and_get_the_top_of_the_scale() -> None:
    base = recipe(Arm(""), read_recipe(RECIPE), 0)
    two = [
        NO_COMMA,
        Constraint(kind="length_constraints:number_words", kwargs={"relation": "less than", "num_words": 3}),
    ]
    prompts = [Prompt(id="p", prompt="Q", constraints=two)]
    texts = ["one", "two", "good", "a, b", "no comma but long", "a, b and c", "x, y, z", "  "]
    responses = [
        Response(id=str(n), prompt_id="p", prompt="Q", response=text, model="m") for n, text in enumerate(texts)
    ]
    chats = judging_examples(responses, prompts, base, 6)
    scores = [chat[-1]["content"] for chat in chats]
    assert scores.count("Score: 5") == 3 and len(scores) == 6
    assert set(scores) <= {"Score: 5", "Score: 2", "Score: 3", "Score: 0"}  # half of two is 2.5
    assert all("Q" in chat[0]["content"] for chat in chats)
    assert len(judging_examples(responses, prompts, base, 40)) == 7  # as many as there are, none of an empty answer


def test_the_rank_correlation_takes_answers_that_both_scored() -> None:
    assert rank_correlation({"a": 1, "b": 2, "c": 3, "d": 9}, {"a": 10, "b": 30, "c": 20, "e": 1}) == pytest.approx(0.5)
    assert rank_correlation({"a": 1, "b": 2}, {"a": 1, "b": 2}) is None
    assert rank_correlation({"a": 1, "b": 1, "c": 1}, {"a": 1, "b": 2, "c": 3}) is None


def test_a_few_labels_are_drawn_by_the_seed_from_the_known_pairs() -> None:
    def answer(name: str, prompt: str, outcome: str) -> CheckedAnswer:
        one = CheckedConstraint(kind="k", strict=outcome, loose=outcome, reason="")  # type: ignore[arg-type]
        return CheckedAnswer(response_id=name, prompt_id=prompt, checks=[one])

    checks = [answer(f"{n}{kind}", str(n), kind) for n in range(20) for kind in ("followed", "broken")]
    right = {f"{n}followed": 2.0 for n in range(10)} | {f"{n}broken": 1.0 for n in range(20)}
    scores = right | {f"{n}followed": 0.0 for n in range(10, 20)}
    assert few_labels(checks, scores, Size(labels=40), 0) == 0.5
    few = {seed: few_labels(checks, scores, Size(labels=5), seed) for seed in range(8)}
    assert few == {seed: few_labels(checks, scores, Size(labels=5), seed) for seed in range(8)}
    assert len(set(few.values())) > 1
    assert few_labels([], {}, Size(), 0) is None


def test_arms_share_their_first_models_and_are_not_run_again(run: Callable[..., list[ArmResult]]) -> None:
    results = run("one", "checked", "own", "random")
    checked, own, random = results
    for result in results:
        assert [row.iteration for row in result.iterations] == [0, 1, 2, 3]
        assert all(row.monitors.mean_score is not None for row in result.iterations)  # whatever the recipe leaves out
        assert all((row.monitors.kl is None) == (row.iteration == 0) for row in result.iterations)
        assert [row.iteration for row in result.rounds] == [2, 3]
        assert all(row.perplexity > 1 and row.content["iter1"] is not None for row in result.iterations)
        assert all(row.seen.follows.n == 15 and row.unseen.follows.n == 8 for row in result.iterations)
    assert checked.iterations[:2] == own.iterations[:2] == random.iterations[:2]
    assert checked.iterations[2] != own.iterations[2]
    assert checked.iterations[1].agreement == 1.0
    assert checked.rounds[0].right == 1.0  # the checks decide
    assert run("one", "checked", "own", "random") == results
    assert run("one", "checked", "frozen", stored=True) == [checked]  # and nothing is run


def test_no_stored_result_is_an_error_that_names_the_file(run: Callable[..., list[ArmResult]]) -> None:
    with pytest.raises(InputError, match=r"none/results.jsonl: no result of these arms"):
        run("none", "checked", stored=True)
    assert not (run.out / "none").exists()  # type: ignore[attr-defined]


def test_stored_and_fresh_are_refused_together(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--fresh sets them aside"):
        run_arms.run_and_print(Config(stored=True, fresh=True, out=tmp_path))


def test_the_tables_and_their_words_fit_80_columns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measured = ROOT / "docs/results/instruction_following/results.jsonl"
    (tmp_path / "results.jsonl").write_bytes(measured.read_bytes())
    run_arms.run_and_print(Config(stored=True, out=tmp_path, seed=1))
    printed = capsys.readouterr().out
    assert "share of answers to held-out prompts" in " ".join(printed.split())
    assert max(map(len, printed.splitlines())) <= 80


def test_the_results_in_the_docs_are_those_of_the_recipe_that_is_here(tmp_path: Path) -> None:
    measured = ROOT / "docs/results/instruction_following/results.jsonl"
    (tmp_path / "results.jsonl").write_bytes(measured.read_bytes())
    config, rows = Config(stored=True, out=tmp_path), list(read_rows(measured, ArmResult))
    assert run_all([(row.arm, row.seed) for row in rows], read_recipe(RECIPE), config) == rows
    page = (ROOT / "docs/instruction_following.md").read_text()
    for row in rows:
        shares = [f"{100 * part.seen.follows.value:.1f}" for part in row.iterations]  # type: ignore[operator]
        assert f"| `{row.arm}` | {row.seed} | {' | '.join(shares)} |" in " ".join(page.split())


@pytest.mark.parametrize("arm", ["passing", "mixed_25"])
def test_every_kind_of_arm_goes_through(run: Callable[..., list[ArmResult]], arm: str) -> None:
    [result] = run("one", arm)
    assert len(result.iterations) == 4 and all(row.n > 0 for row in result.rounds)
    assert (result.rounds[0].equal is None) == (arm == "passing")


@pytest.mark.slow
@pytest.mark.parametrize("arm", ["no_eft", "panel", "constraints_only", "replay", "checked_replay"])
def test_the_other_kinds_of_arms_go_through_too(run: Callable[..., list[ArmResult]], arm: str) -> None:
    [result] = run("one", arm)
    assert len(result.iterations) == 4 and all(row.n > 0 for row in result.rounds)


def test_a_frozen_judge_stays_the_same_and_is_not_what_is_measured(
    run: Callable[..., list[ArmResult]],
) -> None:
    frozen, own = (run("one", arm)[0] for arm in ("frozen", "own"))
    assert frozen.iterations[2] == own.iterations[2]  # in the first round the parent is iter1
    judges = {arm: [line.judge for line in lines_of(run, arm)] for arm in ("frozen", "own")}
    assert judges["frozen"][0] == judges["frozen"][1] == judges["own"][0] != judges["own"][1]


def test_only_a_share_of_the_prompts_is_checked(run: Callable[..., list[ArmResult]]) -> None:
    run("one", "mixed_25")
    for number in (2, 3):
        folder = folder_of(run, "mixed_25") / f"iter{number}"
        evidence = list(read_rows(folder / "judgments.evidence.jsonl", Evidence))
        checked = {row.prompt for row in evidence if row.constraints}
        assert len(evidence) == 16 and len(checked) == 1
        # the checked prompt is judged too if its checks allow a pair: an answer follows everything, another does not
        broken = {row.n_disobeyed > 0 for row in evidence if row.constraints}
        rows = list(read_rows(folder / "judgments.jsonl", Judgment))
        judged = {row.prompt for row in rows}
        assert judged == {row.prompt for row in evidence} - (checked if len(broken) == 1 else set())
        assert len(rows) == 4 * len(judged)


def test_an_interrupted_arm_ends_as_one_that_ran_through(
    run: Callable[..., list[ArmResult]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    for what in ("learnt", "run_arm"):
        with monkeypatch.context() as patch:
            patch.setattr(run_arms, what, stop)
            with pytest.raises(KeyboardInterrupt):
                run("two", "own")
    [again], [before] = run("two", "own"), run("one", "own")
    assert msgspec.structs.replace(again, seconds=before.seconds) == before


def test_results_of_two_folders_can_be_joined(run: Callable[..., list[ArmResult]]) -> None:
    [own], [random] = run("one", "own"), run("one", "random")
    joined = run.out / "joined"  # type: ignore[attr-defined]
    joined.mkdir()
    (joined / "results.jsonl").write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in (own, random)))
    assert run("joined", "own", "random") == [own, random]
    assert [path.name for path in joined.iterdir() if path.is_dir()] == []  # nothing was run


def test_ifeval_is_measured_on_prompts_drawn_by_the_seed(run: Callable[..., list[ArmResult]], tmp_path: Path) -> None:
    rows = [
        {"key": n, "prompt": f"Q{n}", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]} for n in range(5)
    ]
    path = tmp_path / "input_data.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    [result], [without] = run("one", "own", ifeval=path), run("one", "own")
    assert all(row.ifeval is not None and row.ifeval.n_prompts == 2 for row in result.iterations)
    assert [dataclasses.astuple(row.seen.follows) for row in result.iterations] == [
        dataclasses.astuple(row.seen.follows) for row in without.iterations
    ]
