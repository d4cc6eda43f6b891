"""Training on several processes ends with the model of one process, says what it does once, and fails as one."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from console.command import parse
from records import Pair, read_rows
from records.files import BadRows
from records.runs import Run
from records.shapes import read_chats, read_pairs
from records.store import write_rows
from tests.forks import ROOT, run_with_libraries
from tests.tiny import save_in_bfloat16, save_tiny_model
from tests.trainer.training.uneven_process import LENGTHS, N_PROMPT
from trainer.dpo.__main__ import Config as DPOConfig
from trainer.dpo.options import DPOOptions
from trainer.loop import rounds
from trainer.loop.recipe import Config
from trainer.sft.__main__ import Config as SFTConfig
from trainer.sft.options import SFTOptions
from trainer.training.checkpoints import Checkpoints, checkpoints_in
from trainer.training.launch import LaunchOptions
from trainer.training.outcome import report_of

TOLERANCE = 1e-5
SHARDED = ("orpo", "simpo", "ift")
ADAPTED = ["--lora.r", "4", "--lora.alpha", "64"]
LOW = ["--dtype", "bfloat16"]
"""The type of the frozen weights beside an adapter."""
MORE = {"reward_model": ["--held-out-share", "0", "--head", "random"], "kto": ["--micro-batch-size", "2"]}
"""Flags that a kind needs besides."""
STEPS = ["--learning-rate", "1e-3", "--batch-size", "4", "--micro-batch-size", "1"]
CHATS = [
    [
        {"role": "user", "content": f"say {n}"},
        {"role": "assistant", "content": f"point {n} " * (n % 3 + 1)},
    ]
    for n in range(8)
]
PAIRS = [
    Pair(
        prompt=[{"role": "user", "content": f"Question {n}?"}],
        chosen=[{"role": "assistant", "content": f"It is {n}. " * (n % 3 + 1)}],
        rejected=[{"role": "assistant", "content": "No. " * (n % 4 + 1)}],
        prompt_id=str(n), weight=1.0 + n % 3, confidence=0.6 + 0.04 * n,
    )
    for n in range(8)
]  # fmt: skip


@pytest.fixture(scope="module")
def models(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    other = save_tiny_model(tmp_path_factory.mktemp("reference") / "model", seed=1)
    low = save_in_bfloat16(tiny_model, tmp_path_factory.mktemp("low") / "model")
    return {"start": str(tiny_model), "reference": str(other), "low": str(low)}


@pytest.fixture(scope="module")
def trained(models: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what one process and two have trained, and with a failure."""
    folder = files(tmp_path_factory.mktemp("trained"))
    soft = soft_flags(models)
    jobs = [
        job(folder, models, "sft", "one", 1),
        job(folder, models, "sft", "two", 2),
        job(folder, models, "dpo", "one", 1, soft),
        job(folder, models, "dpo", "two", 2, soft),
        *(job(folder, models, "dpo", f"lora{n}", n, ADAPTED) for n in (1, 2)),
        *(job(folder, models, kind, "lora2", 2, ADAPTED) for kind in ("kto", "reward_model")),
        *(job(folder, models, kind, "one", 1) for kind in SHARDED),
        *(job(folder, models, kind, "sharded", 2, sharded=True) for kind in SHARDED),
        job(folder, models, "kto", "one", 1, ["--batch-size", "16", "--micro-batch-size", "4"]),
        job(folder, models, "kto", "sharded", 2, ["--batch-size", "16"], sharded=True),
        *(job(folder, models, "dpo", f"low{n}", n, [*ADAPTED, *LOW], sharded=n > 1) for n in (1, 2)),
        job(folder, models | {"start": models["low"]}, "sft", "low", 2, sharded=True),
        *(uneven(models, name, n) for name, n in (("one", 1), ("sharded", 2))),
        job(folder, models, "sft", "broken", 2, ["--learning-rate", "1e30", "--warmup-share", "0", "--epochs", "3"]),
    ]
    return run_jobs(folder, jobs)


def soft_flags(models: dict[str, str]) -> list[str]:
    return ["--reference", models["reference"], "--labels", "soft", "--length-alpha", "0.01"]


def files(folder: Path) -> Path:
    write_rows(folder / "chats.jsonl", [{"messages": chat} for chat in CHATS])
    write_rows(folder / "pairs.jsonl", PAIRS)
    return folder


def job(
    folder: Path,
    models: dict[str, str],
    kind: str,
    name: str,
    processes: int,
    more: list[str] | None = None,
    *,
    sharded: bool = False,
) -> dict[str, Any]:
    file, out = (
        folder / ("chats.jsonl" if kind in ("sft", "ift") else "pairs.jsonl"),
        folder / f"{kind}-{name}" / "model",
    )
    argv = [str(file), "--model", models["start"], "--out", str(out)]
    return {
        "name": f"{kind}-{name}",
        "module": f"trainer.{kind}.__main__",
        "argv": [*argv, *STEPS, *MORE.get(kind, []), *(more or [])],
        "processes": processes,
        "sharded": sharded,
    }


def uneven(models: dict[str, str], name: str, processes: int) -> dict[str, Any]:
    module = "tests.trainer.training.uneven_process"
    return {
        "name": f"uneven-{name}", "module": module, "argv": [models["start"]],
        "processes": processes, "sharded": processes > 1,
    }  # fmt: skip


def run_jobs(folder: Path, jobs: list[dict[str, Any]]) -> Path:
    (folder / "plan.json").write_text(json.dumps(jobs))
    run_with_libraries(["tests.trainer.training.launch_process", str(folder / "plan.json")], timeout_s=300)
    return folder


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def distance(one: Path, other: Path) -> float:
    """Return the greatest difference of a weight in two folders of models or adapters."""
    from safetensors.torch import load_file

    a, b = (load_file(next(folder.glob("*model.safetensors"))) for folder in (one, other))
    assert a.keys() == b.keys()  # tied weights once
    return max(float((a[name] - b[name]).abs().max()) for name in a)


@pytest.mark.parametrize(("one", "other"), [("sft-one", "sft-two"), ("dpo-one", "dpo-two")])
def test_several_processes_end_with_the_weights_of_one(
    trained: Path, models: dict[str, str], one: str, other: str
) -> None:
    assert distance(trained / one / "model", trained / other / "model") < TOLERANCE
    assert distance(trained / one / "model", Path(models["start"])) > 50 * TOLERANCE
    figures, others = (report_of(trained / name / "model") for name in (one, other))
    assert others.n_steps == figures.n_steps == 2 and others.loss == pytest.approx(figures.loss, abs=TOLERANCE)


@pytest.mark.parametrize("name", ["lora", "low"], ids=["copies", "sharded beside bfloat16 weights"])
def test_several_processes_end_with_the_adapter_of_one(trained: Path, name: str) -> None:
    one, two = (adapter_of(trained, f"dpo-{name}{n}") for n in (1, 2))
    assert one.keys() == two.keys()
    assert max(float((one[name] - two[name]).abs().max()) for name in one) < TOLERANCE
    assert max(float(one[name].abs().max()) for name in one if "lora_B" in name) > 50 * TOLERANCE  # 0 at first


@pytest.mark.parametrize("kind", ["kto", "reward_model"])
def test_several_processes_learn_an_adapter(trained: Path, kind: str) -> None:
    learnt = adapter_of(trained, f"{kind}-lora2")
    assert all(float(tensor.abs().max()) > TOLERANCE for name, tensor in learnt.items() if "lora_B" in name)


def adapter_of(folder: Path, name: str) -> dict[str, Any]:
    from safetensors.torch import load_file

    said = (folder / f"{name}.0.err").read_text()
    assert {*json.loads((folder / "statuses.json").read_text())[name]} == {0}, said
    return load_file(folder / name / "model" / "adapter_model.safetensors")


# one step of KTO: in later ones its distance to the reference is estimated from other pairs of prompt and answer
@pytest.mark.parametrize("kind", [*SHARDED, "kto"])
def test_sharded_weights_end_as_those_of_one_process(trained: Path, models: dict[str, str], kind: str) -> None:
    said = (trained / f"{kind}-sharded.0.err").read_text()
    assert json.loads((trained / "statuses.json").read_text())[f"{kind}-sharded"] == [0, 0], said
    one, sharded = (trained / f"{kind}-{name}" / "model" for name in ("one", "sharded"))
    assert distance(one, sharded) < TOLERANCE
    assert distance(one, Path(models["start"])) > 50 * TOLERANCE
    assert report_of(sharded).loss == pytest.approx(report_of(one).loss, abs=TOLERANCE)


def test_sharded_weights_are_gathered_once_for_answers_of_any_lengths(trained: Path) -> None:
    said = (trained / "uneven-sharded.0.err").read_text()
    assert json.loads((trained / "statuses.json").read_text())["uneven-sharded"] == [0, 0], said
    *tokens, gradient = (trained / "uneven-one.0.out").read_text().split()
    for rank, length in enumerate(LENGTHS):
        *drawn, norm = (trained / f"uneven-sharded.{rank}.out").read_text().split()
        assert drawn == tokens[: N_PROMPT + length]
        assert float(norm) == pytest.approx(float(gradient), rel=TOLERANCE)


def test_sharded_weights_are_saved_in_the_type_of_the_model_that_they_began_as(trained: Path) -> None:
    from safetensors.torch import load_file

    assert json.loads((trained / "statuses.json").read_text())["sft-low"] == [0, 0]
    weights = load_file(trained / "sft-low" / "model" / "model.safetensors")
    assert {str(tensor.dtype) for tensor in weights.values()} == {"torch.bfloat16"}


def test_only_the_first_process_speaks_and_no_work_files_are_left(trained: Path) -> None:
    table, nothing = (trained / f"dpo-two.{rank}.out" for rank in (0, 1))
    assert table.read_text().count("| examples |") == 1 and "| loss " in table.read_text()
    assert "DPO: 2 of 2" in (trained / "dpo-two.0.err").read_text()
    assert nothing.read_text() == "" and "DPO" not in (trained / "dpo-two.1.err").read_text()
    left = sorted(path.name for path in (trained / "dpo-two").iterdir())
    assert left == ["model", "model.curves.png", "model.metrics.jsonl"]
    assert not list(trained.rglob("*.bin"))


def test_a_loss_that_is_not_a_number_ends_all_processes_with_one_message(trained: Path) -> None:
    assert json.loads((trained / "statuses.json").read_text())["sft-broken"] == [1, -signal.SIGTERM]
    said = [(trained / f"sft-broken.{rank}.err").read_text() for rank in (0, 1)]
    assert said[0].count("error: the ") == 1 and "of 8 ('say " in said[0] and "error" not in said[1]
    assert not (trained / "sft-broken" / "model").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "more"),
    [("sft", []), ("dpo", []), ("reward_model", []), ("kto", ["--batch-size", "8"]), ("reward_model", ADAPTED)],
    ids=["sft", "dpo", "reward_model", "kto", "adapter"],
)
def test_a_sharded_training_that_was_killed_goes_on_from_its_state(
    kind: str, more: list[str], models: dict[str, str], tmp_path: Path
) -> None:
    folder, often = files(tmp_path), ["--save-minutes", "1e-9", "--epochs", "2", *more]
    whole, killed = (job(folder, models, kind, name, 2, often, sharded=True) for name in ("whole", "killed"))
    run_jobs(folder, [whole, killed | {"killed_at": 2}])
    assert -signal.SIGKILL in json.loads((folder / "statuses.json").read_text())[f"{kind}-killed"]
    state = folder / f"{kind}-killed" / "model.state"
    assert (state / "checkpoint-2" / "state.json").exists() and not (folder / f"{kind}-killed" / "model").exists()
    run_jobs(folder, [killed])
    said = (folder / f"{kind}-killed.0.err").read_text()
    assert json.loads((folder / "statuses.json").read_text())[f"{kind}-killed"] == [0, 0], said
    assert distance(folder / f"{kind}-whole" / "model", folder / f"{kind}-killed" / "model") == 0
    rows = (folder / f"{kind}-killed" / "model.metrics.jsonl").read_text().splitlines()
    assert [json.loads(row)["step"] for row in rows] == [1, 2, 3, 4] and not state.exists()


@pytest.mark.slow
def test_reward_models_can_be_sharded_and_kto_has_several_processes(models: dict[str, str], tmp_path: Path) -> None:
    folder = files(tmp_path)
    jobs = [job(folder, models, "reward_model", name, n, sharded=n > 1) for name, n in (("one", 1), ("sharded", 2))]
    run_jobs(folder, [*jobs, job(folder, models, "kto", "two", 2, ["--epochs", "2"])])
    statuses = json.loads((folder / "statuses.json").read_text())
    assert statuses["reward_model-sharded"] == [0, 0], (folder / "reward_model-sharded.0.err").read_text()
    one, sharded = (folder / f"reward_model-{name}" / "model" for name in ("one", "sharded"))
    assert distance(one, sharded) < TOLERANCE
    assert report_of(sharded).loss == pytest.approx(report_of(one).loss, abs=TOLERANCE)
    assert statuses["kto-two"] == [0, 0], (folder / "kto-two.0.err").read_text()
    first, *_, last = (json.loads(row) for row in (folder / "kto-two" / "model.metrics.jsonl").read_text().splitlines())
    # the policy begins as the reference: each loss is 1 - sigmoid(0)
    assert first["loss"] == pytest.approx(0.5, abs=TOLERANCE) and first["kl"] == pytest.approx(0, abs=TOLERANCE)
    assert last["loss"] < 0.45


@pytest.mark.slow
def test_sharded_adapters_end_as_those_of_one_process(models: dict[str, str], tmp_path: Path) -> None:
    folder = files(tmp_path)
    further = models | {"start": str(folder / "sft-one" / "model")}
    once = ["--batch-size", "16"]
    jobs = []
    for name, n, sizes in (("one", 1, ["--micro-batch-size", "4"]), ("two", 2, [])):
        jobs += [
            job(folder, models, "sft", name, n, ADAPTED, sharded=n > 1),
            job(folder, models, "ift", name, n, ADAPTED, sharded=n > 1),
            job(folder, models, "reward_model", name, n, ADAPTED, sharded=n > 1),
            job(folder, models, "kto", name, n, [*ADAPTED, *once, *sizes], sharded=n > 1),
            job(folder, further, "dpo", name, n, ADAPTED, sharded=n > 1),
            job(folder, further, "orpo", name, n, sharded=n > 1),
            job(folder, models, "dpo", f"merged-{name}", n, [*ADAPTED, "--lora.merge"], sharded=n > 1),
        ]
    run_jobs(folder, jobs)
    for kind in ("sft", "ift", "reward_model", "kto", "dpo"):
        one, two = (adapter_of(folder, f"{kind}-{name}") for name in ("one", "two"))
        assert one.keys() == two.keys()
        assert max(float((one[name] - two[name]).abs().max()) for name in one) < TOLERANCE, kind
    for kind in ("orpo-", "dpo-merged-"):  # whole weights, of a parent that is an adapter, and merged with a new one
        assert distance(folder / f"{kind}one" / "model", folder / f"{kind}two" / "model") < TOLERANCE, kind


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str]]]:
    """What a loop would launch, in place of launching it."""
    found: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(rounds, "launch", lambda options, module, words, title: found.append((module, list(words))))
    return found


def test_a_loop_launches_its_fine_tuning_on_the_same_chats_and_settings(
    asked: list[tuple[str, list[str]]], tmp_path: Path
) -> None:
    config = Config(launch=LaunchOptions(), sft=SFTOptions(learning_rate=3e-7, epochs=2), seed=5)
    rounds._sft(tmp_path / "parent", tmp_path / "model", CHATS, config, "iter1 SFT")
    (module, words) = asked[0]
    child = parse(SFTConfig, words, module)
    assert module == "trainer.sft" and child.file is not None
    assert (child.training, child.seed, child.model) == (config.sft, 5, str(tmp_path / "parent"))
    assert list(read_chats(child.file, BadRows(strict=True))) == CHATS and child.out == tmp_path / "model"


def test_a_loop_launches_its_optimisation_on_the_same_pairs_settings_and_checkpoints(
    asked: list[tuple[str, list[str]]], tmp_path: Path
) -> None:
    run = Run(tmp_path)
    write_rows(run.iteration(2) / "pairs.jsonl", PAIRS)
    options = DPOOptions(beta=0.07, labels="soft", length_alpha=0.02, batch_size=8, group_by_length=True)
    config = Config(launch=LaunchOptions())
    kept = Checkpoints(run.iteration(2) / "checkpoints", 7, "a key")
    out = run.iteration(2) / "last_model"
    rounds._dpo(run.model(1), out, PAIRS, options, config, "iter2 DPO", run.model(0), kept)
    (module, words) = asked[0]
    child = parse(DPOConfig, words, module)
    assert module == "trainer.dpo" and child.file is not None and child.training == options
    assert (child.model, child.reference, child.out) == (str(run.model(1)), str(run.model(0)), out)
    assert (child.checkpoints, child.every_n_steps, child.checkpoint_key) == (kept.folder, 7, "a key")
    assert list(read_pairs(child.file, BadRows(strict=True))) == PAIRS == list(read_rows(child.file, Pair))


@pytest.mark.slow
def test_checkpoints_and_sharded_fine_tuning_are_those_of_one_process(models: dict[str, str], tmp_path: Path) -> None:
    folder = files(tmp_path)
    jobs = []
    for name, processes, sharded in (("one", 1, False), ("two", 2, False), ("sharded", 2, True)):
        kept = ["--checkpoints", str(folder / name), "--every-n-steps", "1", "--epochs", "2"]
        jobs += [
            job(folder, models, "dpo", name, processes, [*kept, *soft_flags(models)], sharded=sharded),
            job(folder, models, "sft", name, processes, sharded=sharded),
        ]
    run_jobs(folder, jobs)
    for name in ("two", "sharded"):
        ours, theirs = (checkpoints_in(folder / which) for which in ("one", name))
        assert [path.name for path in ours] == [path.name for path in theirs] == [f"step-{n:06d}" for n in (1, 2, 3)]
        assert all(distance(*both) < TOLERANCE for both in zip(ours, theirs, strict=True))
        for kind in ("dpo", "sft"):
            assert distance(folder / f"{kind}-one" / "model", folder / f"{kind}-{name}" / "model") < TOLERANCE
