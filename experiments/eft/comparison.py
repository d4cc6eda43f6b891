"""Compares a judge before and after EFT, seed by seed."""

import json
from pathlib import Path
from typing import Any

import msgspec

from console.errors import InputError
from console.output import tell, tell_plan
from console.table import Cell, print_table
from experiments.eft.options import Config
from experiments.steps import Step
from judges.intervals.mean import mean_of_known
from records import Judgment, read_rows, write_atomic
from records.store import write_rows

UNTRAINED, IFT, BOTH = "untrained", "IFT", "IFT + EFT"
LONGER = "the longer is better"
CHATS = "chats.jsonl"
"""IFT and EFT together."""


def compare_judges(config: Config) -> None:
    """Run the missing steps and print the measures, averaged over seeds with 95% intervals."""
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
        # JSONL files join by joining their bytes
        write_atomic(data / CHATS, (data / "ift.jsonl").read_bytes() + split.made.read_bytes())
        for step in trained:
            step.do()
    expected = [json.loads(steps[seed][-1].made.read_text(encoding="utf-8")) for seed in seeds]
    likeliest = [
        _by_likeliest(config.out / f"seed{seed}", measures) for seed, measures in zip(seeds, expected, strict=True)
    ]
    _print(_table(expected), _table(likeliest), as_json=config.json)


def _print(expected: list[dict[str, Cell]], likeliest: list[dict[str, Cell]], *, as_json: bool) -> None:
    """Print a table for each kind of score, or the rows of both as one list."""
    tables = {"expected": expected, "likeliest": likeliest}
    if as_json:
        print_table([{"score": score, **cells} for score, rows in tables.items() for cells in rows], as_json=True)
        return
    for score, rows in tables.items():
        tell(f"by the {score} score:", "")
        print_table(rows)
        tell()


def _by_likeliest(folder: Path, expected: dict[str, Any]) -> dict[str, Any]:
    """Return the measures of the same judges with each answer's likeliest score."""
    words: list[str] = []
    for place, judge in enumerate(expected["judges"]):
        file = folder / "likeliest" / f"{place}.jsonl"
        write_rows(file, [with_likeliest(judgment) for judgment in read_rows(Path(judge["path"]), Judgment)])
        words += ["--judgments", str(file)]
    held_out = str(folder / "data" / "held_out.jsonl")
    measure = ("evals.reward_model", held_out, *words, "--json", "--out", str(folder / "judged"))
    step = Step(measure, folder / "likeliest.json")
    step.do()
    measures: dict[str, Any] = json.loads(step.made.read_text(encoding="utf-8"))
    return measures


def with_likeliest(judgment: Judgment) -> Judgment:
    """Return a judgment by log-probabilities with its likeliest score, the lowest of equals. No score stays none."""
    if judgment.score is None:  # too little probability on the scores
        return judgment
    logprobs = json.loads(judgment.replies[0])  # the reply of a judgment by log-probabilities: score to log-probability
    score = float(max(logprobs, key=logprobs.__getitem__))
    return msgspec.structs.replace(judgment, score=score, scores=[score])


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


def _table(results: list[dict[str, Any]]) -> list[dict[str, Cell]]:
    """Return a row per measure: its value for each judge, and what EFT adds to IFT, seed by seed."""
    values = [_values(measures) for measures in results]  # values[seed][judge][measure]
    rows: list[dict[str, Cell]] = []
    for measure in values[0][IFT]:
        cells: dict[str, Cell] = {"measure": measure}
        for who in (UNTRAINED, IFT, BOTH, LONGER):
            mean = mean_of_known([measures[who].get(measure) for measures in values])
            cells[who] = mean.text(3) if mean else "-"
        # IFT and not the untrained model, so that only the judging examples differ
        gains = [_less(measures[BOTH].get(measure), measures[IFT].get(measure)) for measures in values]
        gain = mean_of_known(gains)
        rows.append({**cells, "EFT adds": gain.text(3, sign=True) if gain else "-"})
    return rows


def _values(result: dict[str, Any]) -> dict[str, dict[str, float | None]]:
    """Return each measure of each judge. The judges are in the order in which they were given."""
    measures = result["measures"]["unscored wrong"]
    names = [judge["name"] for judge in result["judges"]]
    keys = dict(zip((UNTRAINED, IFT, BOTH), names, strict=True)) | {LONGER: LONGER}
    return {who: {measure["name"]: measure["value"] for measure in measures[key]} for who, key in keys.items()}


def _less(value: float | None, other: float | None) -> float | None:
    return None if value is None or other is None else value - other
