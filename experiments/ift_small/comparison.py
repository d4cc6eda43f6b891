"""Trains with four methods on the same answers, measures each, and prints the tables."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from console.errors import InputError
from console.output import tell, tell_json, tell_plan
from console.table import Cell, print_table
from experiments.ift_small.options import Config
from experiments.paired import Answered, answered, difference
from experiments.steps import Step
from judges.intervals.proportion import percent_of, percent_text
from judges.labelled.ranked import RankedAnswers
from judges.labelled.ranked_files import read_ranked
from records import Pair, Response, pair_of
from records.files import BadRows, take
from records.store import write_rows
from trainer.eft.split import Shares, split_trees

UNTRAINED = "untrained"
TRAINERS = {"SFT": "trainer.sft", "IFT": "trainer.ift", "DPO": "trainer.dpo", "ORPO": "trainer.orpo"}
ON_PAIRS = ("DPO", "ORPO")


def compare_methods(config: Config) -> None:
    """Run the missing steps and print each model's results and cost."""
    if config.file is None or config.data_dir is None:
        raise InputError("name a file of ranked answers, and with --data-dir the folder of the tasks' data")
    training, measuring = _training(config), _measuring(config)
    if config.dry_run:
        steps = [*training.values(), *(step for steps in measuring.values() for step in steps)]
        words = [f"python -m {' '.join(step.words)}" for step in steps]
        tell_plan({"commands": words}, *words, as_json=config.json)
        return
    _write_data(config)
    for step in training.values():
        step.do()
    for steps in measuring.values():
        for step in steps:
            step.do()
    results = {arm: [json.loads(step.made.read_bytes()) for step in steps] for arm, steps in measuring.items()}
    costs = {arm: step.cost for arm, step in training.items()}  # none for the untrained model
    # the last part is the win rate, which is not by question
    numbers = {arm: _answered(config, arm, parts[:-1]) for arm, parts in results.items()}
    rows = [_row(arm, numbers[arm], parts[-1], costs.get(arm)) for arm, parts in results.items()]
    differences = [_less_sft(arm, numbers) for arm in numbers if arm != "SFT"]
    if config.json:
        tell_json({"models": rows, "less SFT, same questions": differences})
        return
    print_table(rows)
    tell("", "less SFT, on the same questions:", "")
    print_table(differences)


def pairs_of(ranked: Sequence[RankedAnswers]) -> list[Pair]:
    """Return one pair per prompt: the answer that people ranked highest against the lowest, the first of equals."""
    pairs = []
    for answers in ranked:
        places = sorted(range(len(answers.ranks)), key=answers.ranks.__getitem__)
        # max and not places[-1], for the first of equals
        best, worst = places[0], max(places, key=answers.ranks.__getitem__)
        if answers.responses[best] != answers.responses[worst]:
            pairs.append(pair_of(answers.prompt, answers.id, answers.responses[best], answers.responses[worst]))
    return pairs


def _write_data(config: Config) -> None:
    """Write the training data, as pairs and as chats, and the held-out prompts with people's best answers."""
    assert config.file is not None
    ranked = read_ranked(config.file, BadRows(strict=config.strict))
    split = split_trees(ranked, Shares(0, config.held_out_share), config.seed)
    pairs = pairs_of(list(take(split.eft, config.limit)))
    folder = config.out / "data"
    write_rows(folder / "pairs.jsonl", pairs)
    write_rows(folder / "chats.jsonl", [{"messages": [*pair.prompt, *pair.chosen]} for pair in pairs])
    best = [
        Response(
            id=pair.prompt_id,
            prompt_id=pair.prompt_id,
            prompt=pair.prompt,
            response=pair.chosen[0]["content"],
            model="people",
        )
        for pair in pairs_of(split.held_out)
    ]
    write_rows(folder / "people.jsonl", best)


def _training(config: Config) -> dict[str, Step]:
    shared = (
        "--model", config.model, "--epochs", str(config.epochs), "--batch-size", str(config.batch_size),
        "--micro-batch-size", "1", "--max-length", str(config.max_length), "--seed", str(config.seed), "--fresh",
    )  # fmt: skip
    steps = {}
    for arm, module in TRAINERS.items():
        data = config.out / "data" / ("pairs.jsonl" if arm in ON_PAIRS else "chats.jsonl")
        rate = ("--learning-rate", str(getattr(config.learning_rate, arm.lower())))
        out = _folder(config, arm) / "model"
        steps[arm] = Step((module, str(data), *shared, *rate, "--out", str(out)), out)
    return steps


def _measuring(config: Config) -> dict[str, list[Step]]:
    """Return the measuring steps per model: the tasks, MMLU separately for its many subjects, and the comparison."""
    n_subject = -(-config.questions // 100)  # rounded up
    parts = [("tasks", [name for name in config.tasks if name != "mmlu"], config.questions)]
    if "mmlu" in config.tasks:
        parts.append(("mmlu", ["mmlu"], n_subject))
    questions = ("--data-dir", str(config.data_dir), "--shots", str(config.shots), "--json")
    answered = (
        "--reference", str(config.out / "data" / "people.jsonl"), "--limit", str(config.prompts), "--judge-model",
        config.judge, "--max-new-tokens", str(config.max_new_tokens), "--seed", str(config.seed), "--json",
    )  # fmt: skip
    steps = {}
    for arm in (UNTRAINED, *TRAINERS):
        folder = _folder(config, arm)
        model = ("--model", config.model if arm == UNTRAINED else str(folder / "model"))
        tasks = [
            Step(
                (
                    "evals.open_llm", *model, *questions, "--limit", str(n), "--tasks", *names,
                    "--out", str(_replies(folder, part)),
                ),
                folder / f"{part}.json",
            )
            for part, names, n in parts if names
        ]  # fmt: skip
        compared = ("evals.alpaca", *model, *answered, "--out", str(folder / "alpaca_eval"))
        steps[arm] = [*tasks, Step(compared, folder / "win_rate.json")]
    return steps


def _folder(config: Config, arm: str) -> Path:
    return config.out / arm.lower()


def _replies(folder: Path, part: str) -> Path:
    return folder / f"open_llm_{part}"


def _answered(config: Config, arm: str, parts: Sequence[Any]) -> dict[str, Answered]:
    """Return a model's result on each question of each task."""
    scores = [score for part in parts for score in part["tasks"]]
    folder = _folder(config, arm)
    return {
        score["task"]: answered(_replies(folder, "mmlu" if score["task"] == "mmlu" else "tasks"), score)
        for score in scores
    }


def _less_sft(arm: str, numbers: Mapping[str, Mapping[str, Answered]]) -> dict[str, Cell]:
    """Return a table row of a model's difference to SFT on the same questions, in percentage points."""
    cells: dict[str, Cell] = {"model": arm}
    for task, results in numbers[arm].items():
        mean = difference(
            {key: 100 * value for key, value in results.items()},
            {key: 100 * value for key, value in numbers["SFT"][task].items()},
        )
        cells[task] = mean.text(1, sign=True) if mean else None
    return cells


def _row(
    arm: str, numbers: Mapping[str, Answered], compared: Mapping[str, Any], cost: Mapping[str, float] | None
) -> dict[str, Cell]:
    """Return a table row of a model: each task in percent, the win rate, and the cost of its training."""
    cells: dict[str, Cell] = {"model": arm}
    for task, results in numbers.items():
        cells[task] = percent_of(list(results.values()))
    error, n = compared["standard_error"], compared.get("n_total", 0)
    cells["win rate"] = percent_text(compared["win_rate"] / 100, None if error is None else error / 100, n)
    cells["flipped, %"] = compared.get("n_both_orders") and 100 * compared["n_flipped"] / compared["n_both_orders"]
    cells["characters"] = compared["avg_length"]
    cells["CPU seconds"] = round(cost["cpu_seconds"]) if cost else None
    cells["peak MiB"] = round(cost["peak_mib"]) if cost else None
    return cells
