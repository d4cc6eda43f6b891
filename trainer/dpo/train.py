"""Trains a model on preference pairs, with the parent or another model as the reference."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trl import DPOConfig

from engines.chat.template import load_tokenizer
from trainer.dpo.options import DPOOptions, checked_columns
from trainer.preference.reference import data_with_reference
from trainer.preference.trainer import PreferenceTrainer
from trainer.training.checkpoints import Checkpoints
from trainer.training.examples.gathering import gather
from trainer.training.fit import fit, load_policy, safe_example, trainer_settings
from trainer.training.lengths import Lengths, n_cut_off, order_steps
from trainer.training.memory.choice import settled
from trainer.training.memory.size import WHOLE, Load
from trainer.training.outcome import Trained, work_of
from trainer.training.processes import is_sharded

if TYPE_CHECKING:
    from records import Pair


def train_dpo(
    parent: Path,
    out: Path,
    pairs: "Sequence[Pair]",
    options: DPOOptions,
    seed: int,
    title: str = "DPO",
    reference: Path | None = None,
    checkpoints: Checkpoints | None = None,
) -> Trained:
    """Train the model in `parent` on `pairs` and save it in `out`. The reference is `reference`, by default `parent`.

    The reference's log-probabilities are computed once, before the first step, so only one model is in memory. A
    reference that is another model or is sharded over processes is loaded before the parent and then freed. The loss is
    in `trainer.preference.trainer`. With hard labels, equal weights and no `length_alpha` it is TRL's own. Raises
    InputError for a bad setting or pairs that lack a value it needs, TrainingError if there is nothing to train on or
    the loss is not a number.
    """
    columns = checked_columns(pairs, options)
    memory = settled(parent, options, Load(2 * options.micro_batch_size * options.max_length), title)
    settings = trainer_settings(options, work_of(out), seed, memory)
    tokenizer = load_tokenizer(parent, options.chat_template_kwargs)
    rows = (
        (pair.prompt, safe_example(tokenizer, pair.prompt, chosen=pair.chosen, rejected=pair.rejected) | extra)
        for pair, extra in zip(pairs, columns, strict=True)
    )
    examples = gather(tokenizer, rows, options, out, seed, title)
    data = {"train_dataset": examples.learnt, "eval_dataset": examples.validating}
    shared: dict[str, Any] = {
        "args": DPOConfig(**settings, beta=options.beta, precompute_ref_log_probs=True),
        "processing_class": tokenizer,
    }
    reference = reference or parent
    if is_sharded() or reference.resolve() != parent.resolve():
        lora = options.lora if reference.resolve() == parent.resolve() else WHOLE
        data = data_with_reference(PreferenceTrainer, data, reference, memory, lora, **shared)
    model, _ = load_policy(parent, lora=options.lora, seed=seed, memory=memory)
    trainer = PreferenceTrainer(
        model, **data, length_alpha=options.length_alpha, sft_weight=options.sft_weight, **shared
    )
    order_steps(trainer, group=options.group_by_length)
    lengths = Lengths(examples.n_left_out, n_cut_off(pairs, title))
    return fit(trainer, out, title, checkpoints, options, lengths=lengths)
