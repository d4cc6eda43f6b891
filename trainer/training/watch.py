"""Watches a training: its progress, and a loss or a gradient that is not a number, with the examples that gave it."""

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from console.errors import TrainingError

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import Trainer

SHOWN_EXAMPLES = 4
SHOWN_CHARS = 60


def watch(trainer: "Trainer", advance: Callable[[int], None], last_good: "Callable[[], Path | None]") -> Any:
    """Return a TrainerCallback that calls `advance` after each step, and stops at one whose loss is not a number.

    It raises TrainingError, which names the examples of the step and `last_good()`, the checkpoint to go back to. All
    processes see the same mean loss, so each of them raises, and each with the examples of all.
    """
    from transformers import TrainerCallback

    step = trainer.training_step
    seen: list[tuple[dict[str, Any], Any]] = []

    def training_step(model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        loss = step(model, inputs, *args, **kwargs)
        seen.append((inputs, loss))
        return loss

    trainer.training_step = training_step

    class Watch(TrainerCallback):  # type: ignore[misc]
        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            seen.clear()

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            advance(1)

        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
            for name in ("loss", "grad_norm"):
                value = (logs or {}).get(name)
                if value is not None and not math.isfinite(float(value)):
                    what = "loss" if name == "loss" else "gradient"
                    raise TrainingError(_message(trainer, what, value, state.global_step, seen, last_good()))

    return Watch()


def _message(
    trainer: "Trainer", what: str, value: float, step: int, seen: list[tuple[dict[str, Any], Any]], kept: "Path | None"
) -> str:
    names = _culprits(trainer, seen)
    more = f" and {len(names) - SHOWN_EXAMPLES} more" if len(names) > SHOWN_EXAMPLES else ""
    remains = f"the last good checkpoint is {kept}" if kept else "nothing is saved"
    return (
        f"the {what} is {value} at step {step}, of {', '.join(names[:SHOWN_EXAMPLES])}{more}; {remains}. "
        "Look at these examples, or try a lower learning rate"
    )


def _culprits(trainer: "Trainer", seen: list[tuple[dict[str, Any], Any]]) -> list[str]:
    """Return the names of the examples whose loss is not a number in any process, or of all where there is none."""
    from accelerate.utils import gather_object

    bad = [inputs for inputs, loss in seen if not math.isfinite(float(loss))]
    names = [name for inputs in bad or [inputs for inputs, _ in seen] for name in _names(trainer, inputs)]
    everyone: list[tuple[bool, list[str]]] = gather_object([(bool(bad), names)])
    any_bad = any(has_bad for has_bad, _ in everyone)
    return [name for has_bad, names in everyone if has_bad or not any_bad for name in names]


def _names(trainer: "Trainer", inputs: dict[str, Any]) -> Iterator[str]:
    """Yield the place of each example in the training set and how its prompt and its answer begin."""
    lengths = inputs["attention_mask"].sum(1).tolist()
    rows = [row[:length] for row, length in zip(inputs["input_ids"].tolist(), lengths, strict=True)]
    for tokens in rows[: len(rows) // 2] if "completion_mask" in inputs else rows:  # pairs: the chosen half
        found = next((n for n, row in enumerate(_tokens(trainer.train_dataset)) if row[: len(tokens)] == tokens), None)
        if found is None:
            yield repr(trainer.processing_class.decode(tokens, skip_special_tokens=True)[:SHOWN_CHARS])
            continue
        row = trainer.train_dataset[found]
        prompt, answer = (_opening(row.get(name)) for name in ("prompt", "chosen" if "chosen" in row else "completion"))
        yield f"example {found + 1} of {len(trainer.train_dataset)} ({prompt!r} -> {answer!r})"


def _tokens(rows: Any) -> Iterator[list[int]]:
    for row in rows:
        yield row["input_ids"] if "input_ids" in row else [*row["prompt_ids"], *row["chosen_ids"]]


def _opening(chat: Any) -> str:
    text = chat[-1]["content"] if isinstance(chat, list) and chat else str(chat)
    words = " ".join(text.split())
    return words if len(words) <= SHOWN_CHARS else f"{words[:SHOWN_CHARS]}…"
