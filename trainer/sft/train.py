"""Fine-tunes a model on conversations with TRL's SFTTrainer."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from trl import SFTConfig

from console.errors import TrainingError
from trainer.sft.options import SFTOptions, check_sft
from trainer.sft.packing import check_packing, packed
from trainer.training.examples.gathering import gather
from trainer.training.examples.turns import example_of
from trainer.training.examples.validation import opening_of
from trainer.training.examples.weights import WeightedTrainer, weights_of
from trainer.training.fit import fit, load_policy, trainer_settings
from trainer.training.lengths import Lengths, order_steps
from trainer.training.memory.choice import settled
from trainer.training.memory.size import Load
from trainer.training.outcome import Trained, work_of

if TYPE_CHECKING:
    from records import Message


def train_sft(
    parent: Path, out: Path, chats: "Sequence[list[Message]]", options: SFTOptions, seed: int, title: str = "SFT"
) -> Trained:
    """Fine-tune the model in `parent` on `chats` and save it in `out`. A `Chat` counts by its weight.

    Raises InputError for a bad setting, TrainingError if there is nothing to train on or the loss is not a number.
    """
    check_sft(options)
    if not chats:
        raise TrainingError("no conversation to train on")
    memory = settled(parent, options, Load(options.micro_batch_size * options.max_length), title)
    model, tokenizer = load_policy(parent, options.chat_template_kwargs, options.lora, seed, memory)
    weighted = enumerate(zip(chats, weights_of(chats), strict=True), 1)
    rows = (
        (opening_of(chat), example_of(chat, tokenizer, options.loss_on, number) | extra)
        for number, (chat, extra) in weighted
    )
    examples = gather(tokenizer, rows, options, seed, title)
    settings = trainer_settings(options, work_of(out), seed, memory)
    trainer = WeightedTrainer(
        model=model,
        args=SFTConfig(**(packed(settings) if options.packing else settings), completion_only_loss=True),
        train_dataset=examples.learnt,
        eval_dataset=examples.validating,
        processing_class=tokenizer,
    )
    if options.packing:
        check_packing(trainer)
    order_steps(trainer, group=options.group_by_length)
    return fit(trainer, out, title, options=options, lengths=Lengths(examples.n_left_out))
