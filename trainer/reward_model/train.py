"""Trains a reward model on preference pairs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from datasets import Dataset
from trl import RewardConfig

from console.errors import InputError
from engines.chat.template import load_tokenizer
from engines.merging import REWARDS
from engines.reward_model import is_reward_model
from records import Pair
from records.keys import derived_seed
from trainer.preference.columns import check_pairs
from trainer.reward_model.bottleneck_options import BottleneckOptions
from trainer.reward_model.data import check_margins, pair_examples, set_padding, with_views
from trainer.reward_model.options import RewardOptions, check_reward_options
from trainer.reward_model.trainer import JointRewardTrainer
from trainer.reward_model.views import ViewPair
from trainer.training.checkpoints import Checkpoints
from trainer.training.examples.gathering import split
from trainer.training.examples.held_out import prompt_key
from trainer.training.fit import fit, trainer_settings
from trainer.training.lengths import Lengths, n_cut_off
from trainer.training.lora.adapter import load_base, with_adapter
from trainer.training.memory.choice import settled
from trainer.training.memory.size import WHOLE, Load, MemorySettings
from trainer.training.options import LoraOptions
from trainer.training.outcome import Trained, work_of
from trainer.training.processes import is_first, is_sharded
from trainer.training.sharding import check_devices, unfilled_model


def train_reward_model(
    parent: Path,
    out: Path,
    pairs: Sequence[Pair],
    options: RewardOptions,
    seed: int,
    title: str = "reward model",
    *,
    samples: Sequence[ViewPair] | None = None,
    bottleneck: BottleneckOptions | None = None,
    checkpoints: Checkpoints | None = None,
) -> Trained:
    """Train a reward model from the model in `parent` on `pairs` and save it in `out`.

    The loss is in `trainer.reward_model.trainer`. With equal weights and no bottleneck it is TRL's own. `samples` are
    pairs of the policy's answers to one prompt, and `bottleneck` says how they shape the representation. Raises
    InputError for a bad setting or pairs that lack a value it needs, TrainingError if there is nothing to train on or
    the loss is not a number.
    """
    check_reward_options(options, bottleneck)
    if (samples is None) != (bottleneck is None):
        raise InputError("the policy's samples and the bottleneck's options go together: give both or neither")
    check_pairs(pairs)
    if options.margins:
        check_margins(pairs)
    tokenizer = load_tokenizer(parent, options.chat_template_kwargs)
    if tokenizer.chat_template is None:
        raise InputError(f"{parent}: its tokenizer has no chat template; use an instruction-tuned model")
    examples = pair_examples(tokenizer, pairs, options.max_length, margins=options.margins)
    set_padding(tokenizer, examples)
    keys = [prompt_key(example["prompt"]) for example in examples]
    learnt, validating = split(Dataset.from_list(examples), keys, options, seed)
    if samples is not None and bottleneck is not None:
        views = with_views(tokenizer, list(learnt), samples, bottleneck.views_per_pair, options.max_length)
        learnt = Dataset.from_list(views)
    memory = settled(parent, options, Load(2 * options.micro_batch_size * options.max_length), title)
    trainer = JointRewardTrainer(
        load_classifier(parent, options.head, seed, options.lora, memory),
        args=RewardConfig(**trainer_settings(options, work_of(out), seed, memory)),
        train_dataset=learnt,
        eval_dataset=validating,
        processing_class=tokenizer,
        bottleneck=bottleneck,
    )
    lengths = Lengths(len(pairs) - len(examples), n_cut_off(pairs, title))
    return fit(trainer, out, title, checkpoints, options, trainer.bottleneck, lengths)


def load_classifier(
    parent: Path,
    head: Literal["zero", "random"],
    seed: int,
    lora: LoraOptions = WHOLE,
    memory: MemorySettings | None = None,
) -> Any:
    """Return the model in `parent` as a sequence classifier with one label, in float32 or with an adapter, to train.

    A language model gets a new head, and a reward model keeps its own. Raises InputError for another architecture.
    """
    if is_sharded():
        check_devices()
    if is_sharded() and not is_first():
        return with_adapter(unfilled_model(parent, REWARDS, memory), parent, lora, seed, REWARDS)
    model = load_base(parent, lora, REWARDS, memory)
    weight = getattr(getattr(model, "score", None), "weight", None)
    if weight is None:
        raise InputError(f"{parent}: a {type(model).__name__} cannot become a reward model: it has no head 'score'")
    if not is_reward_model(parent):
        # transformers draws a new head from the global generator, so it is drawn again here
        width = 0.0 if head == "zero" else weight.shape[1] ** -0.5
        generator = torch.Generator().manual_seed(derived_seed(seed, "reward head"))
        torch.nn.init.uniform_(weight, -width, width, generator=generator)
    return with_adapter(model, parent, lora, seed, REWARDS)
