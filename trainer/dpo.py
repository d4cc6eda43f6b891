"""Direct preference optimisation on pairs, with the parent model as the reference (Rafailov et al., 2023).

python -m trainer.dpo runs/demo/iter2/pairs.jsonl --model iter1 --out runs/dpo/model
python -m trainer.dpo pairs.parquet --model Qwen/Qwen3-0.6B --beta 0.05 --learning-rate 5e-7 --out runs/dpo/model

FILE has preference pairs: this project's, TRL's `prompt`, `chosen`, `rejected`, two outputs with a `label`, CSV,
Parquet, .gz of these, or a hub data set.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from console.command import Flags, Given, run
from console.errors import InputError
from trainer.training import Trained, TrainingOptions, check_options

if TYPE_CHECKING:
    from records import Pair


@dataclass(frozen=True)
class DPOOptions(TrainingOptions):
    """How to optimise; the defaults are the paper's (Self-Rewarding, section 3.1.4)."""

    learning_rate: float = 1e-6
    beta: float = 0.1
    """How strongly the model is held to its reference."""


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Train a model on preference pairs."""

    file: Given = None
    """Preference pairs to learn from."""
    model: str = "smollm2"
    """The model to start from, which is also the reference: iterN, a folder, a hub id, or smollm2."""
    run: str | None = None
    """The run that iterN is looked up in; the default is the newest."""
    out: Path = Path("runs/dpo/model")
    """The folder of the new model."""
    limit: int | None = None
    """Use only the first N pairs."""
    training: Annotated[DPOOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=DPOOptions)


def main(config: Config) -> None:
    """Read, train, save and print what happened."""
    from itertools import islice

    from console.table import print_table
    from engines.models import resolve_model
    from records.files import BadRows
    from records.shapes import read_pairs
    from trainer.training import claim_folder, table_row

    if config.file is None:
        raise InputError("name a file of preference pairs; see --help")
    pairs = list(islice(read_pairs(config.file, BadRows(strict=config.strict)), config.limit))
    parent = resolve_model(config.model, config.run)
    if config.dry_run:
        print(f"would train {config.model} on {len(pairs)} pairs of {config.file} and save it to {config.out}")
        return
    claim_folder(config.out, fresh=config.fresh)
    trained = train_dpo(parent, config.out, pairs, config.training, config.seed)
    print_table([table_row(trained, config.out)], as_json=config.json)


def train_dpo(
    parent: Path, out: Path, pairs: "Sequence[Pair]", options: DPOOptions, seed: int, title: str = "DPO"
) -> Trained:
    """Train the model in `parent`, which is also the reference, on `pairs` and save it in `out`.

    The reference's log-probabilities are computed once, before the first step, so that only one model is in memory.
    Raises InputError for a bad setting, TrainingError where there is nothing to train on or the loss is not a number.
    """
    from console.errors import TrainingError

    check_options(options)
    if options.beta <= 0:
        raise InputError(f"beta must be above 0, not {options.beta}")
    if not pairs:
        raise TrainingError("no preference pair to train on")
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    from trainer.training import fit, load_policy, safe_chat, trainer_settings

    model, tokenizer = load_policy(parent)
    rows = [
        {name: safe_chat(getattr(pair, name), tokenizer) for name in ("prompt", "chosen", "rejected")} for pair in pairs
    ]
    settings = trainer_settings(options, out.with_name("dpo.tmp"), seed)
    trainer = DPOTrainer(
        model=model,
        args=DPOConfig(**settings, beta=options.beta, precompute_ref_log_probs=True),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
    )
    return fit(trainer, out, title)


if __name__ == "__main__":
    run(Config, main, "python -m trainer.dpo")
