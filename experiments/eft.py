"""Measure whether learning to judge (EFT) makes a small model a better judge (Self-Rewarding, arXiv 2401.10020).

python -m experiments.eft trees.jsonl.gz                                  3 seeds, about an hour on two cores
python -m experiments.eft trees.jsonl.gz --seeds 5 --learning-rate 5e-5 --epochs 2 --out runs/eft_5e-5
python -m experiments.eft trees.jsonl.gz --dry-run

Each seed splits the trees again and fine-tunes the model on the IFT part, and on IFT and EFT together. Then the
untrained model and both others judge the held-out part. The score is the only target (--targets ranks, --read
logprobs), because a model of this size writes no rationale that ends with a score. The second table uses the likeliest
score instead of the expected one. It ties and reaches the top of the scale as written scores do, and needs no model.
The steps are this project's own commands, each in a process of its own, and finished steps are not repeated.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.command import Flags, Given, run
from console.errors import InputError
from console.output import tell, tell_plan
from console.ranges import Count, Positive
from console.writing import OutFolder
from experiments.steps import Step

if TYPE_CHECKING:
    from console.table import Cell
    from records import Judgment

UNTRAINED, IFT, BOTH = "untrained", "IFT", "IFT + EFT"
LONGER = "the longer is better"
CHATS = "chats.jsonl"
"""IFT and EFT together."""


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Measure a judge before and after EFT."""

    file: Given = None
    """Ranked answers: OASST trees, or any other format of trainer.eft."""
    model: str = "smollm2"
    """The model to start from."""
    seeds: Count = 3
    """Repeat with N splits, from --seed on."""
    learning_rate: Positive = 1e-4
    batch_size: Count = 8
    """Examples per optimiser step. With few ratings a large batch leaves too few steps to learn in."""
    epochs: Count = 1
    max_length: Count = 1024
    """Tokens per example. A longer one loses its end, and a judgment its score, so that it teaches nothing."""
    out: OutFolder = Path("runs/eft_experiment")
    """The folder for data, models and results."""


def main(config: Config) -> None:
    """Run the missing steps and print the measures, averaged over seeds with 95% intervals."""
    from records import write_atomic

    if config.file is None:
        raise InputError("name a file of ranked answers")
    seeds = range(config.seed, config.seed + config.seeds)
    steps = {seed: _steps(config, seed) for seed in seeds}
    if config.dry_run:
        words = [f"python -m {' '.join(step.words)}" for step in steps[config.seed]]
        tell_plan({"commands": words, "seeds": config.seeds}, *words, as_json=config.json)
        return
    for seed in seeds:
        split, *trained = steps[seed]
        split.do()
        data = split.made.parent
        write_atomic(data / CHATS, (data / "ift.jsonl").read_bytes() + split.made.read_bytes())
        for step in trained:
            step.do()
    expected = [json.loads(steps[seed][-1].made.read_text(encoding="utf-8")) for seed in seeds]
    likeliest = [_by_likeliest(config.out / f"seed{seed}", found) for seed, found in zip(seeds, expected, strict=True)]
    _print(_table(expected), _table(likeliest), as_json=config.json)


def _print(expected: "list[dict[str, Cell]]", likeliest: "list[dict[str, Cell]]", *, as_json: bool) -> None:
    """Print a table for each kind of score, or the rows of both as one list."""
    from console.table import print_table

    tables = {"expected": expected, "likeliest": likeliest}
    if as_json:
        print_table([{"score": score, **row} for score, rows in tables.items() for row in rows], as_json=True)
        return
    for score, rows in tables.items():
        tell(f"by the {score} score:", "")
        print_table(rows)
        tell()


def _by_likeliest(folder: Path, expected: dict[str, Any]) -> dict[str, Any]:
    """Return the measures of the same judges with each answer's likeliest score."""
    from records import Judgment, read_rows
    from records.store import write_rows

    words: list[str] = []
    for place, judge in enumerate(expected["judges"]):
        file = folder / "likeliest" / f"{place}.jsonl"
        write_rows(file, [with_likeliest(row) for row in read_rows(Path(judge["path"]), Judgment)])
        words += ["--judgments", str(file)]
    held_out = str(folder / "data" / "held_out.jsonl")
    measure = ("evals.reward_model", held_out, *words, "--json", "--out", str(folder / "judged"))
    step = Step(measure, folder / "likeliest.json")
    step.do()
    found: dict[str, Any] = json.loads(step.made.read_text(encoding="utf-8"))
    return found


def with_likeliest(row: "Judgment") -> "Judgment":
    """Return a judgment by log-probabilities with its likeliest score, the lowest of equals. No score stays none."""
    import msgspec

    if row.score is None:
        return row
    logprobs = json.loads(row.replies[0])
    score = float(max(logprobs, key=logprobs.__getitem__))
    return msgspec.structs.replace(row, score=score, scores=[score])


def _steps(config: Config, seed: int) -> list[Step]:
    folder = config.out / f"seed{seed}"
    data, ift, both = folder / "data", folder / "ift", folder / "both"
    training = (
        "--model", config.model, "--learning-rate", str(config.learning_rate), "--epochs", str(config.epochs),
        "--batch-size", str(config.batch_size), "--micro-batch-size", "1", "--max-length", str(config.max_length),
        "--seed", str(seed), "--fresh",
    )  # fmt: skip
    judges = [word for judge in (config.model, ift / "model", both / "model") for word in ("--judge", str(judge))]
    eft = ("trainer.eft", str(config.file), "--targets", "ranks", "--read", "logprobs")
    return [
        Step((*eft, "--seed", str(seed), "--out", str(data)), data / "train.jsonl"),
        Step(("trainer.sft", str(data / "ift.jsonl"), *training, "--out", str(ift / "model")), ift / "model"),
        Step(("trainer.sft", str(data / CHATS), *training, "--out", str(both / "model")), both / "model"),
        Step(
            ("evals.reward_model", str(data / "held_out.jsonl"), *judges, "--json", "--out", str(folder / "judged")),
            folder / "measured.json",
        ),
    ]


def _table(found: list[dict[str, Any]]) -> "list[dict[str, Cell]]":
    """Return a row per measure: its value for each judge, and what EFT adds to IFT, seed by seed."""
    from judges.intervals.mean import mean_of_known

    values = [_values(one) for one in found]
    rows: list[dict[str, Cell]] = []
    for measure in values[0][IFT]:
        row: dict[str, Cell] = {"measure": measure}
        for who in (UNTRAINED, IFT, BOTH, LONGER):
            mean = mean_of_known([one[who].get(measure) for one in values])
            row[who] = mean.text(3) if mean else "-"
        gains = [_less(one[BOTH].get(measure), one[IFT].get(measure)) for one in values]
        gain = mean_of_known(gains)
        rows.append({**row, "EFT adds": gain.text(3, sign=True) if gain else "-"})
    return rows


def _values(one: dict[str, Any]) -> dict[str, dict[str, float | None]]:
    """Return each measure of each judge. The judges are in the order in which they were given."""
    measures = one["measures"]["unscored wrong"]
    names = [judge["name"] for judge in one["judges"]]
    keys = dict(zip((UNTRAINED, IFT, BOTH), names, strict=True)) | {LONGER: LONGER}
    return {who: {row["name"]: row["value"] for row in measures[key]} for who, key in keys.items()}


def _less(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


if __name__ == "__main__":
    run(Config, main, "python -m experiments.eft")
