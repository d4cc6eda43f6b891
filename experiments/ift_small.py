"""Compare intuitive fine-tuning with SFT, DPO and ORPO on the same answers of people, with a small model.

python -m experiments.ift_small trees.jsonl.gz --data-dir DATA
python -m experiments.ift_small trees.jsonl.gz --data-dir DATA --limit 40 --tasks arc_challenge winogrande
python -m experiments.ift_small trees.jsonl.gz --data-dir DATA --dry-run

The trees are split: most to learn from, the rest to measure on. For each prompt, the answer that people ranked highest
is the target of SFT and IFT and the chosen answer of DPO and ORPO. The lowest is the rejected one. All methods start
from the same model. Each model answers the questions of --tasks (--data-dir has their data, see evals.open_llm), and
--judge compares its answers to the held-out prompts with people's best ones. The steps are this project's own commands,
each in a process of its own, and finished steps are not repeated.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.command import Flags, Given, run
from console.errors import InputError
from console.output import tell, tell_json, tell_plan
from console.ranges import Count, CountOr0, Positive, ShareBetween
from console.writing import OutFolder
from experiments.steps import Step

if TYPE_CHECKING:
    from console.table import Cell
    from experiments.paired import Answered
    from judges.labelled.ranked import RankedAnswers
    from records import Pair

UNTRAINED = "untrained"
TRAINERS = {"SFT": "trainer.sft", "IFT": "trainer.ift", "DPO": "trainer.dpo", "ORPO": "trainer.orpo"}
ON_PAIRS = ("DPO", "ORPO")


@dataclass(frozen=True)
class LearningRates:
    """Learning rates that move a model of this size in few steps, as in the small recipes. DPO's is a tenth."""

    sft: Positive = 1e-4
    ift: Positive = 1e-4
    dpo: Positive = 1e-5
    orpo: Positive = 1e-4


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Train with four methods on the same answers, and measure each."""

    file: Given = None
    """Ranked answers: OASST trees, or any other format of trainer.eft."""
    data_dir: Path | None = None
    """The folder with the tasks' data (required)."""
    model: str = "smollm2"
    """The model that all start from."""
    judge: str = "smollm2"
    """The model that compares answers with people's."""
    held_out_share: ShareBetween = 0.3
    """The share of the trees that is held out to measure on."""
    limit: Count | None = None
    """Learn from the first N prompts."""
    epochs: Count = 1
    batch_size: Count = 8
    max_length: Count = 512
    learning_rate: LearningRates = LearningRates()
    tasks: tuple[str, ...] = ("arc_challenge", "arc_gen", "gsm8k", "mmlu", "truthfulqa_mc2", "winogrande")
    questions: Count = 100
    """The first N questions of each task. For MMLU, a hundredth of that from each subject, rounded up."""
    shots: CountOr0 = 0
    """Examples before each question. The leaderboard's own numbers take hours on a CPU."""
    prompts: Count = 32
    """Held-out prompts whose answers are compared."""
    max_new_tokens: Count = 128
    out: OutFolder = Path("runs/ift_experiment")
    """The folder for data, models and results."""


def main(config: Config) -> None:
    """Run the missing steps and print each model's results and cost."""
    from console.table import print_table

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
    found = {arm: [json.loads(step.made.read_bytes()) for step in steps] for arm, steps in measuring.items()}
    costs = {arm: step.cost for arm, step in training.items()}
    numbers = {arm: _answered(config, arm, results[:-1]) for arm, results in found.items()}
    rows = [_row(arm, numbers[arm], results[-1], costs.get(arm)) for arm, results in found.items()]
    differences = [_less_sft(arm, numbers) for arm in numbers if arm != "SFT"]
    if config.json:
        tell_json({"models": rows, "less SFT, same questions": differences})
        return
    print_table(rows)
    tell("", "less SFT, on the same questions:", "")
    print_table(differences)


def pairs_of(ranked: "Sequence[RankedAnswers]") -> "list[Pair]":
    """Return one pair per prompt: the answer that people ranked highest against the lowest, the first of equals."""
    from records import pair_of

    found = []
    for one in ranked:
        places = sorted(range(len(one.ranks)), key=one.ranks.__getitem__)
        best, worst = places[0], max(places, key=one.ranks.__getitem__)
        if one.responses[best] != one.responses[worst]:
            found.append(pair_of(one.prompt, one.id, one.responses[best], one.responses[worst]))
    return found


def _write_data(config: Config) -> None:
    """Write the training data, as pairs and as chats, and the held-out prompts with people's best answers."""
    from judges.labelled.ranked_files import read_ranked
    from records import Response
    from records.files import BadRows, take
    from records.store import write_rows
    from trainer.eft.split import Shares, split_trees

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
    n_subject = -(-config.questions // 100)
    parts = [("tasks", [name for name in config.tasks if name != "mmlu"], config.questions)]
    if "mmlu" in config.tasks:
        parts.append(("mmlu", ["mmlu"], n_subject))
    asked = ("--data-dir", str(config.data_dir), "--shots", str(config.shots), "--json")
    answered = (
        "--reference", str(config.out / "data" / "people.jsonl"), "--limit", str(config.prompts), "--judge-model",
        config.judge, "--max-new-tokens", str(config.max_new_tokens), "--seed", str(config.seed), "--json",
    )  # fmt: skip
    found = {}
    for arm in (UNTRAINED, *TRAINERS):
        folder = _folder(config, arm)
        model = ("--model", config.model if arm == UNTRAINED else str(folder / "model"))
        tasks = [
            Step(
                (
                    "evals.open_llm", *model, *asked, "--limit", str(n), "--tasks", *names,
                    "--out", str(_replies(folder, part)),
                ),
                folder / f"{part}.json",
            )
            for part, names, n in parts if names
        ]  # fmt: skip
        compared = ("evals.alpaca", *model, *answered, "--out", str(folder / "alpaca_eval"))
        found[arm] = [*tasks, Step(compared, folder / "win_rate.json")]
    return found


def _folder(config: Config, arm: str) -> Path:
    return config.out / arm.lower()


def _replies(folder: Path, part: str) -> Path:
    return folder / f"open_llm_{part}"


def _answered(config: Config, arm: str, parts: Sequence[Any]) -> "dict[str, Answered]":
    """Return a model's result on each question of each task."""
    from experiments.paired import answered

    scores = [score for part in parts for score in part["tasks"]]
    folder = _folder(config, arm)
    return {
        score["task"]: answered(_replies(folder, "mmlu" if score["task"] == "mmlu" else "tasks"), score)
        for score in scores
    }


def _less_sft(arm: str, numbers: "Mapping[str, Mapping[str, Answered]]") -> "dict[str, Cell]":
    """Return a table row of a model's difference to SFT on the same questions, in percentage points."""
    from experiments.paired import difference

    row: dict[str, Cell] = {"model": arm}
    for task, mine in numbers[arm].items():
        mean = difference(
            {key: 100 * value for key, value in mine.items()},
            {key: 100 * value for key, value in numbers["SFT"][task].items()},
        )
        row[task] = mean.text(1, sign=True) if mean else None
    return row


def _row(
    arm: str, numbers: "Mapping[str, Answered]", compared: Mapping[str, Any], cost: Mapping[str, float] | None
) -> "dict[str, Cell]":
    """Return a table row of a model: each task in percent, the win rate, and the cost of its training."""
    from judges.intervals.proportion import percent_of, percent_text

    row: dict[str, Cell] = {"model": arm}
    for task, answered in numbers.items():
        row[task] = percent_of(list(answered.values()))
    error, n = compared["standard_error"], compared.get("n_total", 0)
    row["win rate"] = percent_text(compared["win_rate"] / 100, None if error is None else error / 100, n)
    row["flipped, %"] = compared.get("n_both_orders") and 100 * compared["n_flipped"] / compared["n_both_orders"]
    row["characters"] = compared["avg_length"]
    row["CPU seconds"] = round(cost["cpu_seconds"]) if cost else None
    row["peak MiB"] = round(cost["peak_mib"]) if cost else None
    return row


if __name__ == "__main__":
    run(Config, main, "python -m experiments.ift_small")
