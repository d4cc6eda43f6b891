"""Trains a model with TRL's KTOTrainer on answers that are good or bad."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trl import KTOConfig

from console.progress import say
from engines.chat.template import load_tokenizer
from records import Pair
from records.finish import cut_off
from records.rated import Rated
from trainer.kto.options import KTOOptions, check_kto
from trainer.kto.trainer import SharedKTOTrainer
from trainer.preference.reference import data_with_reference
from trainer.training.checkpoints import Checkpoints
from trainer.training.examples.gathering import gather
from trainer.training.fit import fit, load_policy, safe_example, trainer_settings
from trainer.training.lengths import Lengths, n_cut_off
from trainer.training.memory.choice import settled
from trainer.training.memory.size import Load
from trainer.training.outcome import Trained, work_of
from trainer.training.processes import is_sharded

if TYPE_CHECKING:
    from records import Message


def train_kto(
    parent: Path,
    out: Path,
    feedback: Sequence[Pair | Rated],
    options: KTOOptions,
    seed: int,
    title: str = "KTO",
    checkpoints: Checkpoints | None = None,
) -> Trained:
    """Train the model in `parent` on the answers in `feedback` and save it in `out`.

    The reference is `parent`, and its log-probabilities are computed once, before the first step. Under FSDP it is
    loaded for them and freed before the policy is loaded. The distance to it is estimated from the answers of a
    micro-batch with each other's prompts, so a micro-batch has at least two. Raises InputError for a bad setting,
    TrainingError if there is nothing to train on or the loss is not a number.
    """
    check_kto(feedback, options)
    pairs = [item for item in feedback if isinstance(item, Pair)]
    rated = [item for item in feedback if isinstance(item, Rated)]
    if len({pair.weight for pair in pairs}) > 1:
        say("KTO: the pairs' weights are not used; trainer.dpo uses them")
    memory = settled(parent, options, Load(2 * options.micro_batch_size * options.max_length), title)
    tokenizer = load_tokenizer(parent, options.chat_template_kwargs)
    rows = (
        (item.prompt, {**safe_example(tokenizer, item.prompt, completion=answer), "label": is_good})
        for item in feedback
        for answer, is_good in _answers(item)
    )
    examples = gather(tokenizer, rows, options, out, seed, title)
    args = KTOConfig(
        **trainer_settings(options, work_of(out), seed, memory),
        beta=options.beta,
        desirable_weight=options.desirable_weight,
        undesirable_weight=options.undesirable_weight,
        precompute_ref_log_probs=True,
    )
    data = {"train_dataset": examples.learnt, "eval_dataset": examples.validating}
    # TRL keeps the order, but a batch should mix prompts, and good answers with bad ones
    data = {name: part and _mixed(part, seed) for name, part in data.items()}
    shared: dict[str, Any] = {"args": args, "processing_class": tokenizer}
    if is_sharded():
        data = data_with_reference(SharedKTOTrainer, data, parent, memory, options.lora, **shared)
    model, _ = load_policy(parent, lora=options.lora, seed=seed, memory=memory)
    trainer = SharedKTOTrainer(model, **data, **shared)
    n_cut = n_cut_off(pairs, title)
    if n := sum(cut_off(item.finish_reason) is not None for item in rated):
        say(f"{title}: {n} of {len(rated)} answers were cut off when they were generated")
        n_cut += n
    lengths = Lengths(examples.n_left_out, n_cut)
    return fit(trainer, out, title, checkpoints, options, lengths=lengths)


def _mixed(data: Any, seed: int) -> Any:
    order = list(range(len(data)))
    random.Random(seed).shuffle(order)
    return data.select(order)


def _answers(item: Pair | Rated) -> "list[tuple[list[Message], bool]]":
    return [(item.chosen, True), (item.rejected, False)] if isinstance(item, Pair) else [(item.answer, item.is_good)]
