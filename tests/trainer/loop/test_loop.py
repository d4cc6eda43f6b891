"""The whole loop on a tiny random model: it repeats itself, and no kill changes what it ends with."""

import json
import os
import re
import signal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from records import Judgment, Pair, Response, read_rows
from tests.forks import run_with_libraries
from tests.tiny import save_in_bfloat16
from tests.trainer.loop.checked import checked_recipe

KILLS = [
    ("append", 30),  # among the candidates of iter2
    ("step", 6),  # a DPO step
    ("rename", 2),  # before the model of iter2 gets its name
]
CHECKED_KILLS = [("append", 43)]  # among the evidence of iter2
MORE_KILLS = [
    ("fsync", 12),  # before the pairs of iter2 get their name
    ("fsync", 11),  # before the counts of those pairs get their name
    ("fsync", 4),  # before what was checked of iter0 gets its name
    ("fsync", 16),  # before the figures of iter2 get their name
    ("append", 1),  # the ledger line of iter1, its model already there
    ("append", 9),  # among the held-out scores of iter0
    ("append", 42),  # among the judgments of iter2
    ("append", 50),  # the ledger line of iter2, its model already there
    ("append", 60),  # among the likelihoods of its held-out answers
    ("append", 85),  # among the judgments of iter3
    ("step", 1),  # the supervised training
]
SECONDS = re.compile(rb'"seconds":[0-9.e-]+')  # the only field that two equal runs may have different
SHORT = Path(__file__).parent / "rubrics"
"""Rubrics of a few words: with the usual ones a fifth of the time goes into reading them."""
Job = dict[str, Any]
RESULTS = ("responses", "judgments", "pairs", "prompts")


@pytest.fixture(scope="module")
def recipe(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe that takes seconds: few prompts, short answers, one processor thread's worth of model."""
    folder = tmp_path_factory.mktemp("recipe")
    base = save_in_bfloat16(tiny_model, folder / "base")  # as most checkpoints are
    (folder / "ift.jsonl").write_text("".join(f'{{"prompt": "say {n}", "response": "point {n}"}}\n' for n in range(4)))
    path = folder / "tiny.toml"
    path.write_text(
        f"""
        name = "tiny"
        iterations = 3
        [engine]
        model = "{base}"
        batch_size = 5
        [seeds]
        ift = "{folder / "ift.jsonl"}"
        eft_limit = 2
        [candidates]
        prompts = 4
        n = 3
        max_new_tokens = 8
        temperature = 1.0
        [sft]
        learning_rate = 1e-3
        batch_size = 2
        [dpo]
        learning_rate = 1e-3
        batch_size = 2
        [judge]
        rubric = "{SHORT / "short.toml"}"
        [eval]
        prompts = 3
        rubric = "{SHORT / "short_pair.toml"}"
        """
    )
    return path


@pytest.fixture(scope="module")
def runs(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two loops undisturbed and one for each kill, resumed, and so for a recipe whose judge checks constraints."""
    checked = checked_recipe(tmp_path_factory.mktemp("checked"), recipe.parent / "base")
    plan = loops(recipe, ["one", "two"], KILLS) | loops(checked, ["checked-one"], CHECKED_KILLS, "checked-")
    return run_loops(tmp_path_factory.mktemp("runs"), plan)


@pytest.fixture(scope="module")
def more_runs(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return run_loops(tmp_path_factory.mktemp("more_runs"), loops(recipe, ["one"], MORE_KILLS))


def loops(recipe: Path, whole: list[str], kills: list[tuple[str, int]], prefix: str = "") -> dict[str, list[Job]]:
    """Return a loop under each name in `whole`, and one for each kill, each of these resumed."""
    job = {"argv": ["--config", str(recipe)], "kill": None}
    killed = {f"{prefix}{what}-{n}": [{**job, "kill": (what, n)}, job] for what, n in kills}
    return {name: [job] for name in whole} | killed


def run_loops(base: Path, named: dict[str, list[Job]]) -> dict[str, Path]:
    """Run loops, each in a folder of its name in `base`, and return those of their runs."""
    plan = {str(base / name): jobs for name, jobs in named.items()}
    for folder in plan:
        Path(folder).mkdir()
    (base / "plan.json").write_text(json.dumps(plan))
    run_with_libraries(["tests.trainer.loop.loop_process", str(base / "plan.json")], timeout_s=600)
    for folder, jobs in plan.items():
        statuses = json.loads((Path(folder) / "statuses.json").read_text())
        killed = [os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL for status in statuses]
        log = (Path(folder) / "stderr.txt").read_text()
        assert killed == [bool(job["kill"]) for job in jobs] and statuses[-1] == 0, f"{folder} {statuses}: {log}"
    return {path.name: path / "runs" / "tiny" for path in base.iterdir() if path.is_dir()}


def results(run: Path) -> dict[str, bytes]:
    files = [run / f"iter{number}" / f"{name}.jsonl" for number in (2, 3) for name in RESULTS]
    files += [run / f"iter{number}" / "pair_counts.json" for number in (2, 3)]
    files.append(run / "ledger.jsonl")
    files += [
        run / "eval" / f"{name}.jsonl"
        for name in ("iter0", "iter3", "iter3_checks", "judgments", "comparisons", "likelihoods")
    ]
    return {str(path.relative_to(run)): SECONDS.sub(b"", path.read_bytes()) for path in files}


def test_two_loops_with_one_seed_end_with_the_same_rows(runs: dict[str, Path]) -> None:
    assert results(runs["one"]) == results(runs["two"])
    assert all(results(runs["one"]).values())


@pytest.mark.parametrize("kill", [f"{what}-{n}" for what, n in KILLS])
def test_a_loop_killed_and_resumed_ends_with_the_same_rows(runs: dict[str, Path], kill: str) -> None:
    assert results(runs[kill]) == results(runs["one"])


@pytest.mark.slow
@pytest.mark.parametrize("kill", [f"{what}-{n}" for what, n in MORE_KILLS])
def test_a_loop_killed_elsewhere_and_resumed_ends_with_the_same_rows(more_runs: dict[str, Path], kill: str) -> None:
    assert results(more_runs[kill]) == results(more_runs["one"])


def test_the_share_of_constraints_makes_the_pairs_at_no_call(runs: dict[str, Path]) -> None:
    folder = runs["checked-one"] / "iter2"
    judgments = list(read_rows(folder / "judgments.jsonl", Judgment))
    assert len(judgments) == 12 and all(row.usage.n_calls == 0 and row.read == "checks" for row in judgments)
    assert {row.constraints is None for row in read_rows(folder / "responses.jsonl", Response)} == {False}
    pairs = list(read_rows(folder / "pairs.jsonl", Pair))
    assert pairs and all(pair.evidence and pair.evidence[0]["tool"] == "constraints" for pair in pairs)
    for pair in pairs:
        better, worse = (evidence["n_followed"] for evidence in pair.evidence or ())
        assert better > worse and pair.margin == pytest.approx(5 * (better - worse) / 3)


@pytest.mark.parametrize("kill", [f"{what}-{n}" for what, n in CHECKED_KILLS])
def test_a_killed_loop_ends_with_the_same_evidence_and_pairs(runs: dict[str, Path], kill: str) -> None:
    for name in ("judgments.evidence", "judgments", "pairs"):
        whole, resumed = (
            (runs[run] / "iter2" / f"{name}.jsonl").read_bytes() for run in ("checked-one", f"checked-{kill}")
        )
        assert resumed == whole, name


def test_the_counts_in_the_ledger_are_those_that_lie_beside_the_pairs(runs: dict[str, Path]) -> None:
    lines = [json.loads(line) for line in (runs["one"] / "ledger.jsonl").read_text().splitlines()]
    for number in (2, 3):
        stored = json.loads((runs["one"] / f"iter{number}" / "pair_counts.json").read_text())
        pairs = (runs["one"] / f"iter{number}" / "pairs.jsonl").read_text().splitlines()
        counts = lines[number - 1]["counts"]
        assert stored["n_prompts"] == counts["prompts"] == 4
        assert stored["n_pairs"] == counts["pairs"] == len(pairs) and stored["n_tied"] == counts["tied"]


def test_a_round_of_an_earlier_version_counts_its_pairs_again(runs: dict[str, Path]) -> None:
    from trainer.loop.gather import PAIR_COUNTS, pair_counts
    from trainer.loop.recipe import Config

    folder, config = runs["two"] / "iter2", Config()
    stored = pair_counts(folder, config.round, config.pairs, config.seed)
    (folder / PAIR_COUNTS).rename(folder / "aside.json")
    try:
        assert pair_counts(folder, config.round, config.pairs, config.seed) == stored
    finally:
        (folder / "aside.json").rename(folder / PAIR_COUNTS)


def test_every_iteration_has_a_model_that_loads(runs: dict[str, Path]) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    weights = []
    for number in range(4):
        folder = runs["one"] / f"iter{number}" / "model"
        weights.append(AutoModelForCausalLM.from_pretrained(folder).get_input_embeddings().weight)
        assert AutoTokenizer.from_pretrained(folder).chat_template
        assert not list(folder.glob("*.bin"))
    assert not any(torch.equal(a, b) for a, b in pairwise(weights))


def test_all_models_are_saved_in_one_type_and_the_ledger_names_the_one_they_answer_in(runs: dict[str, Path]) -> None:
    from engines.models import checkpoint_dtype

    assert {checkpoint_dtype(runs["one"] / f"iter{number}" / "model") for number in range(4)} == {"bfloat16"}
    lines = [json.loads(line) for line in (runs["one"] / "ledger.jsonl").read_text().splitlines()]
    assert [line["dtype"] for line in lines] == ["float32"] * 3  # on a processor


def test_the_pairs_train_with_a_stock_dpo_trainer(runs: dict[str, Path], tmp_path: Path) -> None:
    import datasets
    from trl import DPOConfig, DPOTrainer

    pairs = datasets.load_dataset(
        "json", data_files=str(runs["one"] / "iter2" / "pairs.jsonl"), cache_dir=str(tmp_path)
    )
    config = DPOConfig(
        output_dir=str(tmp_path / "out"), use_cpu=True, bf16=False, report_to=[], max_steps=1, save_strategy="no",
        dataloader_pin_memory=False, gradient_checkpointing=False, disable_tqdm=True,
    )  # fmt: skip
    stock = DPOTrainer(model=str(runs["one"] / "iter1" / "model"), args=config, train_dataset=pairs["train"])
    assert stock.train().training_loss == pytest.approx(0.693, abs=0.01)


def test_the_ledger_says_where_each_iteration_came_from_and_its_counts_add_up(runs: dict[str, Path]) -> None:
    lines = [json.loads(line) for line in (runs["one"] / "ledger.jsonl").read_text().splitlines()]
    assert [(line["id"], line["parent"], line["reference_model"]) for line in lines] == [
        ("iter1", "iter0", None),
        ("iter2", "iter1", "iter1"),
        ("iter3", "iter2", "iter2"),
    ]
    assert lines[1]["prompt_split"] != lines[2]["prompt_split"] and lines[1]["judge"] != lines[2]["judge"]
    for line in lines[1:]:
        counts = line["counts"]
        assert (
            counts["responses"] + counts["failed"] == 12
            and counts["judged"] + counts["unparsed"] == counts["responses"]
        )
        assert counts["pairs"] + counts["tied"] + counts["filtered"] == counts["prompts"] == 4


def test_no_prompt_is_used_twice(runs: dict[str, Path]) -> None:
    files = [runs["one"] / part / "prompts.jsonl" for part in ("iter2", "iter3", "eval")]
    ids = [json.loads(line)["id"] for path in files for line in path.read_text().splitlines()]
    assert len(ids) == len(set(ids)) == 11


def test_the_table_and_the_next_commands_are_printed(runs: dict[str, Path]) -> None:
    printed = (runs["one"].parent.parent / "stdout.txt").read_text()
    for words in (" iter3 |", "win rate", "runs/tiny/iter3/", "python -m tui", "python -m evals.alpaca --model iter3"):
        assert words in printed


def test_other_settings_are_refused_for_a_run_that_goes_on(
    runs: dict[str, Path], recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from console.command import parse
    from console.errors import InputError
    from trainer.loop.__main__ import main
    from trainer.loop.recipe import Config

    monkeypatch.chdir(runs["one"].parent.parent)
    with pytest.raises(InputError, match=r"candidates\.temperature was 1\.0, now 0\.5"):
        main(parse(Config, ["--config", str(recipe), "--candidates.temperature", "0.5"], "loop"))
