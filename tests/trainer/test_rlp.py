"""A whole run of reward learning on policy on a tiny random model: what it leaves, and that no kill changes it."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import trainer.rlp.gather
import trainer.rlp.stages
from console.command import parse
from console.errors import InputError
from engines.protocol import Request
from engines.scripted import ScriptedEngine
from judges.clustering.equivalences.options import EquivalenceOptions
from judges.options import JudgeOptions
from records import Pair, Prompt, Response, Store, messages_of, read_rows
from records.runs import Run
from records.store import write_rows
from tests.conftest import ROOT
from trainer.reward_model import RewardOptions
from trainer.rlp.__main__ import main
from trainer.rlp.bottleneck_options import BottleneckOptions
from trainer.rlp.preferences import n_turned_round
from trainer.rlp.recipe import (
    AnnotatorOptions,
    Config,
    EvalOptions,
    PreferenceOptions,
    RLPOptions,
    SampleOptions,
    UnlabelledOptions,
    check,
)
from trainer.rlp.splits import deal, shown_prompts
from trainer.rlp.synthetic_options import SyntheticOptions

CLOCK = re.compile(rb'"seconds":[0-9.e-]+')
KILLS = (
    "run.toml", "iter1/model", "iter1/comparisons.jsonl", "iter1/pairs.jsonl", "iter1/reward_model", "ledger.jsonl",
    "iter2/model.checkpoints/step-000001", "iter2/model", "iter3/responses.jsonl", "iter3/judgments.jsonl",
    "iter3/counts.json", "iter3/reward_model", "iter3/reward.json", "iter3/model", "iter3/hashes.json",
    "eval/iter2.jsonl", "eval/comparisons.jsonl", "eval/evaluation.json",
)  # fmt: skip
"""Files whose first line is torn, and files and folders that are killed before they get their name, one a start."""


def likes_the_letter_e(request: Request, choices: Any) -> list[float]:
    """Prefer, in either order, the answer with more of one letter; of equals, the one shown first."""
    a, b = (request.messages[0]["content"].split(f"<answer_{side}>\n")[1].split("\n</answer")[0] for side in "ab")
    return [-3.0, -0.1] if b.count("e") > a.count("e") else [-0.1, -3.0]


@pytest.fixture(scope="module")
def config(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Config:
    folder = tmp_path_factory.mktemp("recipe")
    (folder / "ift.jsonl").write_text("".join(f'{{"prompt": "say {n}", "response": "point {n}"}}\n' for n in range(4)))
    path = folder / "tiny.toml"
    path.write_text(
        f"""
        name = "tiny"
        [engine]
        model = "{tiny_model}"
        [seeds]
        ift = "{folder / "ift.jsonl"}"
        [sft]
        learning_rate = 1e-3
        batch_size = 2
        [preferences]
        prompts = 16
        max_new_tokens = 12
        flip = 0.4
        held_out_share = 0.25
        [reward]
        learning_rate = 3e-3
        batch_size = 4
        micro_batch_size = 4
        warmup_share = 0.0
        [unlabelled]
        prompts = 6
        [ppo]
        rollout_batch_size = 4
        step_batch_size = 4
        micro_batch_size = 4
        response_length = 8
        learning_rate = 1e-3
        warmup_steps = 0
        steps = 2
        save_every_n_steps = 1
        [samples]
        n = 4
        max_new_tokens = 8
        [synthetic]
        gamma = 0.25
        [synthetic.relation]
        equivalence = "exact"
        [eval]
        prompts = 4
        max_new_tokens = 8
        """
    )
    return parse(Config, ["--config", str(path)], "rlp")


@pytest.fixture(scope="module", autouse=True)
def annotator() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer.rlp.gather, "open_engine", lambda options: ScriptedEngine(logprobs=likes_the_letter_e))
        yield


class Trained(list[tuple[str, str, str]]):
    """What was trained: which trainer, from what, with what."""


@pytest.fixture(scope="module")
def spg(config: Config, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Trained]:
    """An undisturbed run, and its trainings."""
    base, trained = tmp_path_factory.mktemp("spg"), Trained()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(base)
        rewards, ppo = trainer.rlp.stages.train_reward_model, trainer.rlp.stages.train_ppo

        def train_reward_model(parent: Path, out: Path, pairs: Any, *rest: Any, **more: Any) -> Any:
            trained.append((str(out), str(parent), f"{len(pairs)} pairs"))
            return rewards(parent, out, pairs, *rest, **more)

        def train_ppo(parent: Path, out: Path, prompts: Any, source: Any, *rest: Any) -> Any:
            trained.append((str(out), str(parent), source.name))
            return ppo(parent, out, prompts, source, *rest)

        patch.setattr(trainer.rlp.stages, "train_reward_model", train_reward_model)
        patch.setattr(trainer.rlp.stages, "train_ppo", train_ppo)
        main(config)
    return Run(base / "runs" / "tiny"), trained


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def results(run: Run) -> dict[str, bytes]:
    """Return every file that two equal runs must have alike; of a store's lines the last with an id."""
    found = {}
    for path in sorted(run.folder.rglob("*")):
        name = str(path.relative_to(run.folder))
        if path.suffix == ".jsonl" and not re.search(r"\.\d+$", name):
            lines = {
                json.loads(line).get("id", number): line for number, line in enumerate(path.read_bytes().splitlines())
            }
            found[name] = CLOCK.sub(b"", b"\n".join(lines.values()))
        elif path.name in ("model.safetensors", "reward.json", "counts.json", "evaluation.json"):
            found[name] = path.read_bytes()
    return found


class Killed(BaseException):
    """Stands for SIGKILL: nothing in the project catches it."""


def start_and_kill(config: Config, where: str) -> None:
    """Start the run and stop it dead before `where` gets its name, or when half of its first line is written."""
    target = (Path.cwd() / "runs" / "tiny" / where).resolve()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("rename", "replace"):
            original = getattr(Path, name)

            def killing(self: Path, to: Path, original: Any = original) -> Any:
                if Path(to).absolute() == target:
                    raise Killed
                return original(self, to)

            patch.setattr(Path, name, killing)
        append = Store.append

        def torn(self: Store[Any], row: Any) -> None:
            append(self, row)
            if self.path.absolute() == target:
                with self.path.open("rb+") as file:
                    file.truncate(self.path.stat().st_size - 5)
                raise Killed

        patch.setattr(Store, "append", torn)
        with pytest.raises(Killed):
            main(config)


def test_a_run_killed_again_and_again_ends_with_the_files_of_an_undisturbed_one(
    config: Config, spg: tuple[Run, Trained], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for where in KILLS:
        start_and_kill(config, where)
    main(config)
    whole, mended = results(spg[0]), results(Run(tmp_path / "runs" / "tiny"))
    assert mended.keys() == whole.keys()
    assert [name for name in whole if mended[name] != whole[name]] == []


def test_each_model_is_trained_from_the_sft_model_with_the_reward_of_its_iteration(spg: tuple[Run, Trained]) -> None:
    run, trained = spg
    counts = {line["id"]: line["counts"] for line in rows(run.ledger)}
    n_learnt = counts["iter1"]["pairs"] - counts["iter1"]["held_out"]
    assert trained == [
        ("runs/tiny/iter1/reward_model", "runs/tiny/iter1/model", f"{n_learnt} pairs"),
        ("runs/tiny/iter2/model", "runs/tiny/iter1/model", "runs/tiny/iter1/reward_model"),
        (
            "runs/tiny/iter3/reward_model",
            "runs/tiny/iter1/model",
            f"{n_learnt + counts['iter3']['synthetic_pairs']} pairs",
        ),
        ("runs/tiny/iter3/model", "runs/tiny/iter1/model", "runs/tiny/iter3/reward_model"),
    ]


def test_the_ledger_says_where_each_iteration_came_from_and_its_counts_add_up(spg: tuple[Run, Trained]) -> None:
    run, _ = spg
    lines = rows(run.ledger)
    assert [(line["id"], line["parent"], line["reference_model"]) for line in lines] == [
        ("iter1", "iter0", None),
        ("iter2", "iter1", "iter1"),
        ("iter3", "iter1", "iter1"),
    ]
    first, _, third = (line["counts"] for line in lines)
    assert first["pairs"] + first["tied"] + first["unparsed"] + first["not_compared"] == first["prompts"] == 16
    assert first["flipped"] == n_turned_round(list(read_rows(run.iteration(1) / "pairs.jsonl", Pair))) > 0
    outcomes = ("synthetic_pairs", "all_agree", "under_gamma", "too_few", "unscored", "tied", "undecided")
    assert sum(third[name] for name in outcomes) == third["prompts"] == 6
    assert third["responses"] == third["judged"] + third["unparsed"] and third["responses"] + third["failed"] == 24
    assert third["synthetic_pairs"] == len(rows(run.iteration(3) / "pairs.jsonl")) > 0
    assert 0 <= lines[0]["training"]["reward_model/held_out_accuracy"] <= 1
    assert lines[2]["training"]["reward_model/examples"] == third["preferences"] + third["synthetic_pairs"]


def test_no_prompt_is_used_for_two_things_and_labels_are_what_the_annotator_said(spg: tuple[Run, Trained]) -> None:
    run, _ = spg
    parts = [run.iteration(1), run.iteration(3), run.folder / "eval"]
    ids = [row["id"] for part in parts for row in rows(part / "prompts.jsonl")]
    assert len(ids) == len(set(ids)) == 16 + 6 + 4
    assert rows(run.iteration(2) / "prompts.jsonl") == rows(run.iteration(3) / "prompts.jsonl")
    for pair in read_rows(run.iteration(1) / "pairs.jsonl", Pair):
        n_chosen, n_rejected = (side[0]["content"].count("e") for side in (pair.chosen, pair.rejected))
        assert (n_chosen < n_rejected) == bool(n_turned_round([pair])) and n_chosen != n_rejected


def test_the_samples_have_the_first_reward_models_scores_and_every_command_finds_the_models(
    spg: tuple[Run, Trained],
) -> None:
    from engines.models import resolve_model
    from engines.reward_model import RewardModel
    from judges.rewards import fingerprint

    run, _ = spg
    model = RewardModel.load(run.iteration(1) / "reward_model", "r")
    judged = rows(run.iteration(3) / "judgments.jsonl")
    again = model.score([row["prompt"] for row in judged], [row["response"] for row in judged])
    assert {row["judge"] for row in judged} == {fingerprint(model)}
    assert [row["score"] for row in judged] == pytest.approx(again, abs=1e-5)
    assert all(resolve_model(f"iter{n}", str(run.folder)) == run.model(n) for n in range(4))


def test_the_evaluation_has_every_policy_and_both_reward_models(spg: tuple[Run, Trained]) -> None:
    found = json.loads((spg[0].folder / "eval" / "evaluation.json").read_text())
    assert [row["id"] for row in found["policies"]] == ["iter1", "iter2", "iter3"]
    sft, *others = found["policies"]
    assert sft["kl"] is None and sft["win_rate"] is None
    assert all(row["kl"]["n_answers"] == 8 and row["win_rate"]["n"] == row["n_answers"] == 4 for row in others)
    assert [row["id"] for row in found["reward_models"]] == ["iter1", "iter3"]
    for row in found["reward_models"]:
        assert row["held_out"]["held-out pairs"] > 0 and set(row["on_policy"]) == {"iter1", "iter2", "iter3"}


def test_a_reward_model_changed_by_hand_is_named(
    config: Config, spg: tuple[Run, Trained], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(spg[0].folder, tmp_path / "runs" / "tiny", symlinks=True)
    monkeypatch.chdir(tmp_path)
    weights = tmp_path / "runs" / "tiny" / "iter1" / "reward_model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(InputError, match=r"iter1/reward_model was changed after iter1 was done"):
        main(config)


def test_uml_learns_from_view_pairs_and_no_synthetic_ones(
    config: Config,
    spg: tuple[Run, Trained],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "runs" / "uml"
    for part in ("iter0", "iter1", "iter2"):  # SFT and PPO are the same: only iter3 is made
        shutil.copytree(spg[0].folder / part, folder / part, symlinks=True)
    write_rows(folder / "ledger.jsonl", rows(spg[0].ledger)[:2])
    monkeypatch.chdir(tmp_path)
    uml = replace(
        config, name="uml", rlp=RLPOptions("uml", start="reward_model"), synthetic=SyntheticOptions(),
        eval=replace(config.eval, judged=False),
    )  # fmt: skip
    main(uml)
    by_id = {row.id: row for row in read_rows(folder / "iter3" / "responses.jsonl", Response)}
    views = rows(folder / "iter3" / "views.jsonl")
    assert views and not (folder / "iter3" / "pairs.jsonl").exists()
    for view in views:
        first, second = by_id[view["first"]], by_id[view["second"]]
        assert first.prompt_id == second.prompt_id == view["prompt_id"] and first.response != second.response
    line = rows(folder / "ledger.jsonl")[-1]
    assert line["counts"]["views"] == len(views) and "synthetic_pairs" not in line["counts"]
    assert line["training"]["reward_model/examples"] == line["counts"]["preferences"]
    assert "reward_model/bottleneck/mutual_information" in line["training"]
    out = capsys.readouterr().out
    assert "RLP-UML (iter3)" in out and "annotator is" not in out


def test_a_dry_run_counts_what_each_stage_does_and_writes_nothing(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    main(replace(config, dry_run=True, json=True))
    plan = {row["stage"]: row for row in json.loads(capsys.readouterr().out)}
    assert plan["iter1 answers"]["answers"] == 32 and plan["iter1 annotator"]["judge calls"] == 32
    assert plan["iter1 reward model, at most 12 pairs"]["optimiser steps"] == 3
    assert (plan["iter2 PPO"]["answers"], plan["iter2 PPO"]["optimiser steps"]) == (8, 4)
    assert plan["iter3 samples"]["answers"] == 24 and plan["held-out annotator"]["judge calls"] == 2 * 4 * 5
    assert plan["held-out answers and samples"]["answers"] == 3 * 4 * 3
    assert list(tmp_path.iterdir()) == []


# preferences that are there already, and the dealing of prompts


def given_pairs(path: Path, prompts: list[str]) -> Path:
    sides = {"chosen": [{"role": "assistant", "content": "yes"}], "rejected": [{"role": "assistant", "content": "no"}]}
    write_rows(path, [Pair(prompt=messages_of(prompt), prompt_id=prompt, **sides) for prompt in prompts])
    return path


def test_given_preferences_are_kept_with_noise_on_those_that_are_learnt_only(config: Config, tmp_path: Path) -> None:
    from trainer.rlp.gather import gather_preferences, preference_counts, preferences_of

    path = given_pairs(tmp_path / "pairs.jsonl", [f"question {n}" for n in range(40)])
    given = replace(config, preferences=PreferenceOptions(file=path, flip=0.5, held_out_share=0.25))
    run = Run(tmp_path / "run")
    gather_preferences(run, [], given)
    learnt, held_out = preferences_of(run, given)
    assert (len(learnt), len(held_out)) == (30, 10)
    assert 5 < n_turned_round(learnt) < 25 and n_turned_round(held_out) == 0
    assert preference_counts(run, given) == {"pairs": 40, "held_out": 10, "flipped": n_turned_round(learnt)}


def prompts(n: int) -> list[Prompt]:
    return [Prompt(id=str(k), prompt=f"Prompt {k}") for k in range(n)]


SMALL = Config(
    preferences=PreferenceOptions(prompts=5), unlabelled=UnlabelledOptions(prompts=6), eval=EvalOptions(prompts=4)
)


def test_prompts_are_dealt_out_once_and_none_that_was_shown() -> None:
    split = deal(prompts(20), ["prompt  3", "PROMPT 4"], SMALL)
    dealt = [prompt.id for part in (split.preferences, split.unlabelled, split.held_out) for prompt in part]
    assert len(dealt) == len(set(dealt)) == 15 and not {"3", "4"} & set(dealt)
    assert deal(prompts(20), ["prompt  3", "PROMPT 4"], SMALL) == split
    assert deal(prompts(20), [], replace(SMALL, seed=1)) != deal(prompts(20), [], SMALL)
    with pytest.raises(InputError, match="14 prompts, but 5 for preferences, 6 unlabelled and 4 held out need 15"):
        deal(prompts(15), ["prompt 0"], SMALL)


def test_the_prompts_of_given_preferences_are_used_for_nothing_else(tmp_path: Path) -> None:
    path = given_pairs(tmp_path / "pairs.jsonl", ["Prompt 1", "Prompt 2"])
    given = replace(SMALL, preferences=PreferenceOptions(file=path))
    shown = shown_prompts([[*messages_of("Prompt 0"), {"role": "assistant", "content": "0"}]], given)
    split = deal(prompts(13), shown, given)
    assert split.preferences == [] and len(split.unlabelled) == 6 and len(split.held_out) == 4
    assert not {"0", "1", "2"} & {prompt.id for prompt in [*split.unlabelled, *split.held_out]}


# settings


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (Config(samples=SampleOptions(n=1)), "samples.n must be at least 2"),
        (Config(preferences=PreferenceOptions(flip=0.7)), r"flip must be in \[0, 0.5\]"),
        (Config(preferences=PreferenceOptions(held_out_share=1.0)), "held-out-share"),
        (Config(eval=EvalOptions(prompts=0)), "eval.prompts must be at least 1"),
        (Config(samples=SampleOptions(min_coverage=2.0)), "samples.min-coverage"),
        (Config(annotator=AnnotatorOptions(judge=JudgeOptions())), "additive scores one answer"),
        (Config(reward=RewardOptions(margins=True)), "margins needs a margin"),
        (Config(reward=RewardOptions(learning_rate=-1.0)), "learning_rate must be above 0"),
        (Config(bottleneck=BottleneckOptions(objective="mvi")), "bottleneck.* is for --rlp.method uml"),
        (Config(rlp=RLPOptions("uml"), synthetic=SyntheticOptions(gamma=0.6)), "synthetic.* is for --rlp.method spg"),
        (Config(rlp=RLPOptions("uml"), reward=RewardOptions(batch_size=1, micro_batch_size=1)), "no negatives"),
        (Config(synthetic=SyntheticOptions(gamma=2.0)), r"gamma must be in \[0, 1\]"),
    ],
)
def test_settings_that_do_not_fit_together_are_one_line(config: Config, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        check(config)
    assert "\n" not in str(caught.value)


RECIPES = ROOT / "recipes"


def recipe(name: str) -> Config:
    return parse(Config, ["--config", str(RECIPES / f"{name}.toml")], "rlp")


@pytest.mark.parametrize("name", sorted(path.stem for path in RECIPES.glob("rlp_*.toml")))
def test_every_recipe_is_valid_and_named_after_its_file(name: str) -> None:
    check(recipe(name))
    assert recipe(name).name == name


def test_the_papers_recipes_have_its_numbers_and_differ_in_the_method_alone() -> None:
    uml, spg = recipe("rlp_uml"), recipe("rlp_spg")
    assert (uml.rlp.method, uml.bottleneck.weight, uml.bottleneck.objective) == ("uml", 0.5, "mib")
    assert (spg.rlp.method, spg.synthetic.gamma, spg.synthetic.method) == ("spg", 0.5, "spg")
    assert spg.synthetic.relation == EquivalenceOptions(equivalence="nli")
    assert (spg.samples.n, spg.samples.temperature, spg.eval.temperature) == (10, 1.0, 0.7)
    assert (spg.preferences.prompts, spg.unlabelled.prompts, spg.preferences.flip) == (10_000, 20_000, 0.25)
    assert (spg.sft.learning_rate, spg.sft.epochs, spg.sft.batch_size) == (2e-5, 3, 128)
    assert (spg.reward.learning_rate, spg.reward.epochs, spg.reward.batch_size) == (3e-6, 1, 16)
    assert (spg.ppo.rollout_batch_size, spg.ppo.step_batch_size, spg.ppo.kl_coef) == (512, 256, 0.0067)
    same = {"name": "", "config": None, "rlp": spg.rlp, "bottleneck": spg.bottleneck, "synthetic": spg.synthetic}
    assert replace(uml, **same) == replace(spg, **same)  # type: ignore[arg-type]
