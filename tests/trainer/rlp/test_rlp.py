"""A whole run of reward learning on policy on a tiny random model: what it leaves, and that no kill changes it."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import trainer.rlp.annotator
import trainer.rlp.gather
import trainer.rlp.stages
from console.command import parse
from console.errors import InputError, StoreError
from engines.options import EngineOptions
from engines.protocol import Request
from engines.scripted import ScriptedEngine
from records import Pair, Response, Store, read_rows
from records.runs import Run
from records.store import write_rows
from tests.fences import plain
from tests.trainer.rlp.little import FEW_ANSWERS
from trainer.rlp.__main__ import main
from trainer.rlp.preferences import n_turned_round
from trainer.rlp.recipe import (
    Config,
    RLPOptions,
)
from trainer.rlp.synthetic_options import SyntheticOptions
from trainer.runs.ledger import LedgerLine

CLOCK = re.compile(rb'"seconds":[0-9.e-]+')
KILLS = (
    "run.toml", "iter1/model", "iter1/comparisons.jsonl", "iter1/pairs.jsonl", "iter1/reward_model", "ledger.jsonl",
    "iter2/model.checkpoints/step-000001", "iter2/model", "iter3/responses.jsonl", "iter3/judgments.jsonl",
    "iter3/counts.json", "iter3/reward_model", "iter3/reward.json", "iter3/model", "iter3/hashes.json",
    "eval/iter2.jsonl", "eval/comparisons.jsonl", "eval/evaluation.json",
)  # fmt: skip
"""Files whose first line is torn, and files and folders that are killed before they get their name, one a start."""
SOME_KILLS = (
    "iter1/comparisons.jsonl", "iter1/reward_model", "ledger.jsonl", "iter2/model.checkpoints/step-000001",
    "iter3/judgments.jsonl", "iter3/model", "eval/comparisons.jsonl",
)  # fmt: skip
"""One of each kind: a file of rows, a trained model, a saved state, the ledger."""


def likes_the_letter_e(request: Request, choices: Any) -> list[float]:
    """Prefer, in either order, the answer with more of one letter; of equals, the one shown first."""
    a, b = (
        plain(request.messages[0]["content"]).split(f"<answer_{side}>\n")[1].split("\n</answer")[0] for side in "ab"
    )
    return [-3.0, -0.1] if b.count("e") > a.count("e") else [-0.1, -3.0]


@pytest.fixture(scope="module")
def config(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Config:
    folder = tmp_path_factory.mktemp("recipe")
    (folder / "ift.jsonl").write_text(FEW_ANSWERS)
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
        patch.setattr(trainer.rlp.annotator, "open_engine", lambda options: ScriptedEngine(logprobs=likes_the_letter_e))
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


@pytest.mark.parametrize("kills", [SOME_KILLS, pytest.param(KILLS, marks=pytest.mark.slow)], ids=["some", "all"])
def test_a_run_killed_again_and_again_ends_with_the_files_of_an_undisturbed_one(
    config: Config, spg: tuple[Run, Trained], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kills: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    for where in kills:
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
    from judges.judging.reward_model import fingerprint

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


def test_a_dry_run_counts_only_what_is_left_and_refuses_what_the_command_would(
    config: Config,
    spg: tuple[Run, Trained],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    run = Run(tmp_path / "runs" / "tiny")
    shutil.copytree(spg[0].folder, run.folder, symlinks=True)
    main(replace(config, dry_run=True))
    assert "nothing is left to do of RLP-SPG" in capsys.readouterr().out
    for made in (run.folder / "eval", run.model(3)):
        shutil.rmtree(made)
    run.ledger.write_bytes(b"".join(run.ledger.read_bytes().splitlines(keepends=True)[:2]))
    main(replace(config, dry_run=True, json=True))
    stages = [row["stage"] for row in json.loads(capsys.readouterr().out)]
    assert stages == ["iter3 PPO", "held-out answers and samples", "held-out annotator"]
    for fresh, n in ((False, 3), (True, 11)):
        main(replace(config, dry_run=True, json=True, fresh=fresh))
        assert len(json.loads(capsys.readouterr().out)) == n
    for dry_run in (False, True):
        with pytest.raises(InputError, match="made with other settings: seed was 0, now 1"):
            main(replace(config, seed=1, dry_run=dry_run))
        with Store(run.ledger, LedgerLine), pytest.raises(StoreError, match="another process is at work on this run"):
            main(replace(config, dry_run=dry_run))


def test_the_runs_engine_computes_the_rewards_too_and_leaves_room_for_the_policy(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, EngineOptions] = {}
    monkeypatch.setattr(
        trainer.rlp.gather, "open_reward_model", lambda folder, name, options: seen.update(samples=options)
    )
    monkeypatch.setattr(trainer.rlp.stages, "reward_model", lambda folder, options: seen.update(ppo=options))
    monkeypatch.setattr(trainer.rlp.stages, "train_ppo", lambda *_: None)
    engine = replace(config.engine, engine="vllm", gpu_memory_utilization=0.8, chat_template_kwargs={"a": 1})
    trainer.rlp.gather.load_reward_model(Run(tmp_path), 1, engine)
    trainer.rlp.stages._train_policy(Run(tmp_path), 2, [], replace(config, engine=engine))
    assert [seen[use].engine for use in ("samples", "ppo")] == ["vllm", "vllm"]
    assert seen["samples"].gpu_memory_utilization == 0.8 and seen["ppo"].gpu_memory_utilization is None
    assert seen["samples"].chat_template_kwargs == {}, "a reward model keeps those that it was trained with"
