"""Fine-tunes a model on conversations with TRL's SFTTrainer."""

from pathlib import Path
from typing import TYPE_CHECKING

from trl import SFTConfig

from console.errors import TrainingError
from trainer.sft.options import SFTOptions, check_sft
from trainer.sft.packing import check_packing, packed
from trainer.training.examples.gathering import PREPARED, gather
from trainer.training.examples.turns import examples_of
from trainer.training.examples.weights import WeightedTrainer
from trainer.training.fit import fit, load_policy, trainer_settings
from trainer.training.lengths import Lengths, order_steps
from trainer.training.memory.choice import settled
from trainer.training.memory.size import Load
from trainer.training.outcome import Trained, work_of

if TYPE_CHECKING:
    from records import Message
    from trainer.training.examples.file_rows import Rows


def train_sft(
    parent: Path, out: Path, chats: "Rows[list[Message]]", options: SFTOptions, seed: int, title: str = "SFT"
) -> Trained:
    """Fine-tune the model in `parent` on `chats` and save it in `out`. A `Chat` counts by its weight.

    Raises InputError for a bad setting, TrainingError if there is nothing to train on or the loss is not a number.
    """
    check_sft(options)
    if not len(chats):
        raise TrainingError("no conversation to train on")
    memory = settled(parent, options, Load(options.micro_batch_size * options.max_length), title)
    model, tokenizer = load_policy(parent, options.chat_template_kwargs, options.lora, seed, memory)
    rows = examples_of(chats, tokenizer, options.loss_on)
    examples = gather(tokenizer, rows, options, out, seed, title)
    settings = trainer_settings(options, work_of(out), seed, memory)
    trainer = WeightedTrainer(
        model=model,
        args=SFTConfig(**(packed(settings) if options.packing else settings), dataset_kwargs=PREPARED),
        train_dataset=examples.learnt,
        eval_dataset=examples.validating,
        processing_class=tokenizer,
    )
    if options.packing:
        check_packing(trainer)
    order_steps(trainer, group=options.group_by_length)
    return fit(trainer, out, title, options=options, lengths=Lengths(examples.n_left_out))
