"""Kahneman-Tversky optimisation: each answer is good or bad by itself (KTO: Ethayarajh et al., 2024).

python -m trainer.kto runs/demo/iter2/pairs.jsonl --model iter1 --out runs/kto/model
python -m trainer.kto answers.jsonl --model iter1 --out runs/kto/model
python -m trainer.kto pairs.parquet --model Qwen/Qwen3-0.6B --beta 0.05 --undesirable-weight 1.2 --out runs/kto/model

FILE has answers with a `label` (or `kto_tag`) true or false, or preference pairs as for trainer.dpo: the chosen answers
are the good ones; a pair's `weight` is not used.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from console.command import run
from console.errors import InputError
from console.progress import say
from console.ranges import Couple, Positive
from console.writing import OutFolder
from trainer.preference.command import PairFlags, check_pairs, train_on_pairs
from trainer.training.fit import Trained
from trainer.training.options import TrainingOptions, check_options
from trainer.training.processes import n_processes, one_voice

if TYPE_CHECKING:
    from records import Message, Pair
    from records.rated import Rated
    from trainer.training.checkpoints import Checkpoints


@dataclass(frozen=True)
class KTOOptions(TrainingOptions):
    """How to optimise; an example is an answer, so that a pair makes two (arXiv 2402.01306, section 4)."""

    learning_rate: Positive = 1e-6
    micro_batch_size: Couple = 2
    """Examples in a device's memory at once; the distance to the reference is estimated from their answers."""
    beta: Positive = 0.1
    """How strongly the model is held to its reference."""
    desirable_weight: Positive = 1.0
    """Of a chosen answer in the loss."""
    undesirable_weight: Positive = 1.0
    """Of a rejected one."""


@dataclass(frozen=True, kw_only=True)
class Config(PairFlags):
    """Train a model on answers that are good or bad."""

    out: OutFolder = Path("runs/kto/model")
    """The folder of the new model."""
    training: Annotated[KTOOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=KTOOptions)


@one_voice()
def main(config: Config) -> None:
    """Read, train, save and print what happened."""
    from records.rated import read_rated

    train_on_pairs(config, config.out, config.training, train_kto, _check, read=read_rated)


def train_kto(
    parent: Path,
    out: Path,
    pairs: "Sequence[Pair | Rated]",
    options: KTOOptions,
    seed: int,
    title: str = "KTO",
    checkpoints: "Checkpoints | None" = None,
) -> Trained:
    """Train the model in `parent` with TRL's KTOTrainer on the answers in `pairs` and save it in `out`.

    The reference is `parent`; what it says is computed once, before the first step. The distance to it is estimated
    from the answers of a micro-batch with each other's prompts, so that one has two at least. Raises InputError for a
    bad setting, TrainingError where there is nothing to train on or the loss is not a number.
    """
    from records import Pair
    from records.finish import cut_off
    from records.rated import Rated

    _check(pairs, options)
    whole = [row for row in pairs if isinstance(row, Pair)]
    rated = [row for row in pairs if isinstance(row, Rated)]
    if len({pair.weight for pair in whole}) > 1:
        say("KTO: the pairs' weights are not used; trainer.dpo uses them")
    from datasets import Dataset
    from trl import KTOConfig, KTOTrainer

    from trainer.training.fit import fit, load_policy, safe_example, trainer_settings
    from trainer.training.lengths import Lengths, fitting, n_cut_off
    from trainer.training.resume import work_of

    model, tokenizer = load_policy(parent, options.chat_template_kwargs)
    rows = [
        {**safe_example(tokenizer, row.prompt, completion=answer), "label": is_good}
        for row in pairs
        for answer, is_good in _answers(row)
    ]
    kept = fitting(tokenizer, rows, options.max_length, title)
    random.Random(seed).shuffle(kept)  # TRL keeps the order: a batch is to have other prompts, and good beside bad
    args = KTOConfig(
        **trainer_settings(options, work_of(out), seed),
        beta=options.beta,
        desirable_weight=options.desirable_weight,
        undesirable_weight=options.undesirable_weight,
        precompute_ref_log_probs=True,
    )
    trainer = KTOTrainer(model, args=args, train_dataset=Dataset.from_list(kept), processing_class=tokenizer)
    n_cut = n_cut_off(whole, title)
    if n := sum(cut_off(row.finish_reason) is not None for row in rated):
        say(f"{title}: {n} of {len(rated)} answers were cut off where they were written")
        n_cut += n
    lengths = Lengths(len(rows) - len(kept), n_cut)
    return fit(trainer, out, title, checkpoints, options, lengths=lengths)


def _answers(row: "Pair | Rated") -> "list[tuple[list[Message], bool]]":
    from records import Pair

    return [(row.chosen, True), (row.rejected, False)] if isinstance(row, Pair) else [(row.answer, row.is_good)]


def _check(rows: "Sequence[Pair | Rated]", options: KTOOptions) -> None:
    from records import Pair

    check_options(options)
    pairs = [row for row in rows if isinstance(row, Pair)]
    if pairs or not rows:
        check_pairs(pairs)
    if n_processes() > 1:
        raise InputError(
            "trainer.kto runs in one process: TRL keeps the reference's figures in a file of the first one"
        )


if __name__ == "__main__":
    run(Config, main, "python -m trainer.kto")
