"""Direct preference optimisation on pairs, with the parent or another model as the reference (Rafailov et al., 2023).

python -m trainer.dpo runs/demo/iter2/pairs.jsonl --model iter1 --out runs/dpo/model
python -m trainer.dpo pairs.parquet --model Qwen/Qwen3-0.6B --beta 0.05 --learning-rate 5e-7 --out runs/dpo/model
python -m trainer.dpo pairs.jsonl --model iter2 --reference iter0 --labels soft --length-alpha 0.01 --out runs/dpo/model
python -m trainer.dpo pairs.jsonl --model M --checkpoints runs/dpo/checkpoints --every-n-steps 100 --out runs/dpo/model
accelerate launch --config_file recipes/accelerate_fsdp.yaml -m trainer.dpo pairs.jsonl --model M --out runs/dpo/model

FILE has preference pairs: this project's, TRL's `prompt`, `chosen`, `rejected`, hh-rlhf's, two outputs with a `label`,
CSV, Parquet, .gz of these, or a hub data set; docs/train.md has all. A pair's `weight` is its weight in the loss, over
the mean weight.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from console.command import run
from console.errors import InputError
from console.ranges import NotNegative, Positive
from console.writing import OutFolder
from trainer.preference.command import PairFlags, check_pairs, train_on_pairs
from trainer.training.fit import Trained
from trainer.training.options import TrainingOptions, check_options
from trainer.training.processes import is_sharded, one_voice

if TYPE_CHECKING:
    from records import Pair
    from trainer.training.checkpoints import Checkpoints


@dataclass(frozen=True)
class DPOOptions(TrainingOptions):
    """How to optimise; the defaults are the paper's (Self-Rewarding, section 3.1.4)."""

    learning_rate: Positive = 1e-6
    beta: Positive = 0.1
    """How strongly the model is held to its reference."""
    labels: Literal["hard", "soft"] = "hard"
    """hard: each pair is labelled rightly. soft: with the probability of its `confidence`, p l(z) + (1 - p) l(-z)."""
    length_alpha: NotNegative = 0.0
    """Length-regularised DPO: added to z for each token that the chosen answer is longer than the rejected one, so that
    a longer answer is pushed up less; 0 is plain DPO."""


@dataclass(frozen=True, kw_only=True)
class Config(PairFlags):
    """Train a model on preference pairs."""

    reference: str | None = None
    """The model that the distance is measured to, named as --model is; the default is the one to start from."""
    out: OutFolder = Path("runs/dpo/model")
    """The folder of the new model."""
    training: Annotated[DPOOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=DPOOptions)


@one_voice()
def main(config: Config) -> None:
    """Read, train, save and print what happened."""
    train_on_pairs(config, config.out, config.training, train_dpo, _check, reference=config.reference)


def train_dpo(
    parent: Path,
    out: Path,
    pairs: "Sequence[Pair]",
    options: DPOOptions,
    seed: int,
    title: str = "DPO",
    reference: Path | None = None,
    checkpoints: "Checkpoints | None" = None,
) -> Trained:
    """Train the model in `parent` on `pairs` and save it in `out`; the reference is `reference`, or else `parent`.

    The reference's log-probabilities are computed once, before the first step, so that only one model is in memory:
    another reference, or one that is sharded over processes, is loaded before the parent, and freed. The loss is in
    `trainer.preference.trainer`; with hard labels, equal weights and no `length_alpha` it is TRL's own. Raises
    InputError for a bad setting or pairs that lack what it needs, TrainingError where there is nothing to train on or
    the loss is not a number.
    """
    columns = _check(pairs, options)
    from datasets import Dataset
    from trl import DPOConfig

    from engines.chat.template import load_tokenizer
    from trainer.preference.trainer import PreferenceTrainer
    from trainer.training.fit import fit, load_policy, safe_example, trainer_settings
    from trainer.training.lengths import Lengths, fitting, n_cut_off
    from trainer.training.resume import work_of

    settings = trainer_settings(options, work_of(out), seed)
    tokenizer = load_tokenizer(parent, options.chat_template_kwargs)
    rows = [safe_example(tokenizer, pair.prompt, chosen=pair.chosen, rejected=pair.rejected) for pair in pairs]
    whole = [{**row, **extra} for row, extra in zip(rows, columns, strict=True)]
    kept = fitting(tokenizer, whole, options.max_length, title)
    data = Dataset.from_list(kept)
    shared: dict[str, Any] = {
        "args": DPOConfig(**settings, beta=options.beta, precompute_ref_log_probs=True),
        "processing_class": tokenizer,
    }
    reference = reference or parent
    if is_sharded() or reference.resolve() != parent.resolve():
        data = _with_reference(data, reference, shared)
    model, _ = load_policy(parent)
    trainer = PreferenceTrainer(model, train_dataset=data, length_alpha=options.length_alpha, **shared)
    lengths = Lengths(len(rows) - len(kept), n_cut_off(pairs, title))
    return fit(trainer, out, title, checkpoints, options, lengths=lengths)


def _check(pairs: "Sequence[Pair]", options: DPOOptions) -> list[dict[str, float]]:
    """Return what `_columns` does; raises InputError or TrainingError where the pairs or the settings do not do."""
    check_options(options)
    check_pairs(pairs)
    return _columns(pairs, options)


def _columns(pairs: "Sequence[Pair]", options: DPOOptions) -> list[dict[str, float]]:
    """Return the weight and the label of each pair, or nothing where all weights are the same and all labels hard."""
    weights = [pair.weight for pair in pairs]
    labels = [pair.confidence if options.labels == "soft" else 1.0 for pair in pairs]
    known = [label for label in labels if label is not None and 0 <= label <= 1]
    if len(known) < len(pairs):
        raise InputError(
            f"{len(pairs) - len(known)} of {len(pairs)} pairs have no confidence between 0 and 1, which --labels soft "
            "needs; make the pairs with trainer.pairs, or use --labels hard"
        )
    if options.labels == "hard" and len(set(weights)) == 1:
        return [{}] * len(pairs)
    from trainer.preference.trainer import LABEL, WEIGHT

    return [{WEIGHT: weight, LABEL: label} for weight, label in zip(weights, known, strict=True)]


def _with_reference(data: Any, reference: Path, shared: dict[str, Any]) -> Any:
    """Return `data`, tokenised, with the log-probabilities that the model in `reference` gives both answers."""
    import gc

    from trainer.preference.trainer import PreferenceTrainer
    from trainer.training.fit import load_policy

    model, tokenizer = load_policy(reference)
    if tokenizer.get_vocab() != shared["processing_class"].get_vocab():
        raise InputError(f"{reference}: its tokens are not those of the model to train, so it cannot be its reference")
    trainer = PreferenceTrainer(model, train_dataset=data, **shared)
    found = trainer.train_dataset
    trainer.accelerator.free_memory()
    del model, trainer
    gc.collect()  # the policy needs the memory
    return found


if __name__ == "__main__":
    run(Config, main, "python -m trainer.dpo")
