"""Watches a training: its progress, and a loss or gradient that is not a number, with the examples behind it."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from accelerate.utils import gather_object
from transformers import Trainer, TrainerCallback

from console.errors import TrainingError

SHOWN_EXAMPLES = 4
SHOWN_CHARS = 60

Batch = tuple[Any, Any]
"""The inputs of a micro-batch and its loss."""


class Watch(TrainerCallback):  # type: ignore[misc]
    """Calls `advance` after each step and stops the training at a loss or gradient that is not a number.

    It raises TrainingError, which names the examples of the step and `last_good()`, the checkpoint to go back to. All
    processes see the same mean loss, so each of them raises, and each with the examples of all.
    """

    def __init__(self, trainer: Trainer, advance: Callable[[int], None], last_good: Callable[[], Path | None]) -> None:
        self.trainer, self.advance, self.last_good = trainer, advance, last_good
        self.batches: list[Batch] = []
        step = trainer.training_step

        # No callback of transformers gets the inputs of a step, so the step itself is wrapped.
        def training_step(model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
            loss = step(model, inputs, *args, **kwargs)
            self.batches.append((inputs, loss))
            return loss

        trainer.training_step = training_step

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Forget the examples of the step before."""
        self.batches.clear()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Advance the progress bar."""
        self.advance(1)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        """Raise TrainingError if the loss or the gradient is not a number."""
        for name, title in (("loss", "loss"), ("grad_norm", "gradient")):
            value = (logs or {}).get(name)
            if value is not None and not math.isfinite(float(value)):
                problem = f"the {title} is {value} at step {state.global_step}"
                raise TrainingError(_message(self.trainer, problem, self.batches, self.last_good()))


def _message(trainer: Trainer, problem: str, batches: list[Batch], last_good: Path | None) -> str:
    names = _culprits(trainer, batches)
    more = f" and {len(names) - SHOWN_EXAMPLES} more" if len(names) > SHOWN_EXAMPLES else ""
    remains = f"the last good checkpoint is {last_good}" if last_good else "nothing is saved"
    return (
        f"{problem}, of {', '.join(names[:SHOWN_EXAMPLES])}{more}; {remains}. "
        "Look at these examples, or try a lower learning rate"
    )


def _culprits(trainer: Trainer, batches: list[Batch]) -> list[str]:
    """Return the names of the examples whose loss is not a number in any process, or of all if there are none."""
    bad = [inputs for inputs, loss in batches if not math.isfinite(float(loss))]
    names = [name for inputs in bad or [inputs for inputs, _ in batches] for name in _names(trainer, inputs)]
    everyone: list[tuple[bool, list[str]]] = gather_object([(bool(bad), names)])
    any_bad = any(has_bad for has_bad, _ in everyone)
    return [name for has_bad, names in everyone if has_bad or not any_bad for name in names]


def _names(trainer: Trainer, inputs: Any) -> Iterator[str]:
    """Yield the position of each example in the training set and the beginnings of its prompt and answer."""
    data = trainer.train_dataset
    if isinstance(inputs, list):  # prompts, whose answers the step itself draws
        yield from (repr(_opening(example["prompt"])) for example in inputs)
        return
    examples = _rows(inputs)
    for tokens in examples[: len(examples) // 2] if "completion_mask" in inputs else examples:  # pairs: the chosen half
        # a batch does not say which examples it holds, so they are found by their tokens
        position = next((n for n, ids in enumerate(_tokens(data)) if ids[: len(tokens)] == tokens), None)
        if position is None:
            yield repr(trainer.processing_class.decode(tokens, skip_special_tokens=True)[:SHOWN_CHARS])
            continue
        example = data[position]
        answer_field = "chosen" if "chosen" in example else "completion"
        prompt, answer = _opening(example.get("prompt")), _opening(example.get(answer_field))
        yield f"example {position + 1} of {len(data)} ({prompt!r} -> {answer!r})"


def _rows(inputs: Any) -> list[list[int]]:
    """Return the tokens of each example of a micro-batch."""
    rows: list[list[int]] = inputs["input_ids"].tolist()
    if "attention_mask" in inputs:
        lengths = inputs["attention_mask"].sum(1).tolist()
        return [ids[:length] for ids, length in zip(rows, lengths, strict=True)]
    # packed into one row, in which the positions of each example begin at 0
    starts = [place for place, position in enumerate(inputs["position_ids"][0].tolist()) if position == 0]
    return [rows[0][start:end] for start, end in zip(starts, [*starts[1:], None], strict=True)]


def _tokens(examples: Any) -> Iterator[list[int]]:
    for example in examples:
        yield example["input_ids"] if "input_ids" in example else [*example["prompt_ids"], *example["chosen_ids"]]


def _opening(chat: Any) -> str:
    text = chat[-1]["content"] if isinstance(chat, list) and chat else str(chat)
    words = " ".join(text.split())
    return words if len(words) <= SHOWN_CHARS else f"{words[:SHOWN_CHARS]}…"
