"""Lengths of the training examples: leaves out those that do not fit, and puts like lengths side by side in a step."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch.utils.data import Sampler
from transformers import Trainer

from console.errors import TrainingError
from console.progress import say
from records.finish import cut_off

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from records import Message, Pair

ExampleT = TypeVar("ExampleT", bound=Mapping[str, Any])
ANSWERS = ("completion", "chosen", "rejected")
"""The fields of a training example that hold an answer."""
NOT_A_TARGET = -100
"""The label of a token that is not learnt."""
TOKEN_COLUMNS = ("input_ids", "prompt_ids", "chosen_ids", "rejected_ids")
"""TRL's columns of tokens. An example is as long as all of them together."""


@dataclass(frozen=True)
class Lengths:
    """Counts of a training's examples that are too long or cut off."""

    n_left_out: int = 0
    """Examples that were skipped because they end beyond max_length."""
    n_cut_off: int = 0
    """Examples with an answer that was cut off when it was generated."""


def fitting(
    tokenizer: "PreTrainedTokenizerBase", examples: Iterable[ExampleT], max_length: int, title: str
) -> Iterator[ExampleT]:
    """Yield the examples that lie whole within `max_length`, and print how many do not. Each has one answer or two.

    TRL would cut the others at the end. A judgment without its score teaches nothing, an answer without its end teaches
    the model never to stop, and half an answer is not the answer that was ranked. Raises TrainingError if none is left.
    """
    n = n_whole = n_nothing = 0
    for example in examples:
        n += 1
        n_prompt, n_all = _sizes(tokenizer, example)
        if n_all() <= max_length:
            n_whole += 1
            yield example
        elif n_prompt() >= max_length:
            n_nothing += 1
    limit = f"max_length ({max_length} tokens)"
    if n_nothing:
        say(f"{title}: {n_nothing} of {n} examples left out: their prompts alone fill {limit}")
    if n_cut := n - n_whole - n_nothing:
        say(f"{title}: {n_cut} of {n} examples left out: their end, for example a judgment's score, is beyond {limit}")
    if not n_whole:
        raise TrainingError(f"{title}: no example fits --max-length ({max_length} tokens); raise it")


def _sizes(
    tokenizer: "PreTrainedTokenizerBase", example: Mapping[str, Any]
) -> tuple[Callable[[], int], Callable[[], int]]:
    """Return how to count the tokens of an example's prompt, and of the prompt with its longer answer."""
    if "labels" in example:
        labels = example["labels"]
        first = next((place for place, label in enumerate(labels) if label != NOT_A_TARGET), len(labels))
        return lambda: first, lambda: len(labels)
    answers = [example[name] for name in ANSWERS if name in example]
    return (
        lambda: _n_tokens(tokenizer, example["prompt"], opening=True),
        lambda: max(_n_tokens(tokenizer, [*example["prompt"], *answer]) for answer in answers),
    )


def _n_tokens(tokenizer: "PreTrainedTokenizerBase", chat: "Sequence[Message]", *, opening: bool = False) -> int:
    return len(tokenizer.apply_chat_template(list(chat), add_generation_prompt=opening, return_dict=False))


def n_cut_off(pairs: "Sequence[Pair]", title: str) -> int:
    """Return and print how many pairs have an answer that was cut off when generated. It has no end to learn."""
    n = sum(any(map(cut_off, (pair.chosen_finish_reason, pair.rejected_finish_reason))) for pair in pairs)
    if n:
        say(f"{title}: {n} of {len(pairs)} pairs have an answer that was cut off when it was generated")
    return n


WINDOW = 50
"""Steps whose examples are sorted together, as in transformers' LengthGroupedSampler: more would be less random."""


class StepOrder(Sampler[int]):
    """Shuffles the examples anew each epoch, then sorts those of each optimiser step by length.

    A step's gradient is a sum over its examples, so their order inside the step changes nothing but the padding of its
    micro-batches. With `group` the examples of WINDOW steps are sorted first and then cut into steps of like lengths,
    which are shuffled. The last step, if it is smaller, has any lengths.
    """

    def __init__(self, lengths: Sequence[int], step_size: int, seed: int, *, group: bool = False) -> None:
        self.lengths, self.step_size, self.seed, self.group = lengths, step_size, seed, group
        self.epoch = 0

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        """Yield the places of the examples in the order of this epoch."""
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        order = torch.randperm(len(self.lengths), generator=generator).tolist()
        steps = _cut(order, self.step_size)
        if self.group:
            n_whole = len(order) // self.step_size * self.step_size
            windows = _cut(order[:n_whole], WINDOW * self.step_size)
            steps = [step for window in windows for step in _cut(self._sorted(window), self.step_size)]
            shuffled = torch.randperm(len(steps), generator=generator).tolist()
            steps = [*(steps[place] for place in shuffled), order[n_whole:]]
        for step in steps:
            yield from self._sorted(step)

    def _sorted(self, places: list[int]) -> list[int]:
        return sorted(places, key=self.lengths.__getitem__)

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of `epoch`. accelerate calls it, on resuming too."""
        self.epoch = epoch


def _cut(places: list[int], size: int) -> list[list[int]]:
    return [places[start : start + size] for start in range(0, len(places), size)]


def order_steps(trainer: Trainer, *, group: bool = False) -> None:
    """Make `trainer` take its examples in StepOrder if that pads less.

    Without `group` it does if a step has several micro-batches of several examples.

    The loss of a micro-batch must be a mean or a sum over its examples. KTO's is not.
    """
    n_micro_batches = trainer.args.gradient_accumulation_steps
    if trainer.args.train_batch_size == 1 or (n_micro_batches == 1 and not group):
        return  # nothing would pad less
    data = trainer.train_dataset
    columns = [data[name] for name in TOKEN_COLUMNS if name in data.column_names]
    lengths = [sum(map(len, tokens)) for tokens in zip(*columns, strict=True)]
    step_size = trainer.args.train_batch_size * n_micro_batches * trainer.args.world_size
    order = StepOrder(lengths, step_size, trainer.args.seed, group=group)
    trainer._get_train_sampler = lambda *_: order  # the hook that transformers' own trainers override
