"""Keeps the model of the step with the lowest loss on the prompts that are held out.

transformers does the work: it measures, saves each model that is the best so far, stops, and loads the best at the end.
"""

from typing import Any

from transformers import EarlyStoppingCallback, Trainer, TrainerCallback

from console.errors import TrainingError
from console.progress import say
from trainer.training.examples.held_out import TENTH
from trainer.training.memory.float32 import KEPT
from trainer.training.options import TrainingOptions, ValidatedOptions

LOSS = "eval_loss"


def validation_settings(options: TrainingOptions) -> dict[str, Any]:
    """Return what transformers needs to know to keep the best model, nothing without validation."""
    if not isinstance(options, ValidatedOptions) or not options.validation_share:
        return {}
    return {
        "eval_strategy": "steps",
        "eval_steps": options.validation_steps or TENTH,
        "per_device_eval_batch_size": options.micro_batch_size,
        "save_strategy": "best",
        "load_best_model_at_end": True,
        "metric_for_best_model": LOSS,
        "greater_is_better": False,
        "restore_callback_states_from_checkpoint": True,  # the evaluations that were waited
    }


def add_validation(trainer: Trainer, options: TrainingOptions | None) -> bool:
    """Let the trainer validate after its last step and stop early. Return whether it validates at all."""
    if not isinstance(options, ValidatedOptions) or not options.validation_share:
        return False
    trainer.add_callback(_LastStep())
    if options.patience:
        trainer.add_callback(EarlyStoppingCallback(options.patience))
    return True


class _LastStep(TrainerCallback):  # type: ignore[misc]
    """Validates after the last step too: transformers would load an earlier model without looking at the last."""

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        control.should_evaluate |= state.global_step >= state.max_steps


def kept(trainer: Trainer, title: str) -> dict[str, float]:
    """Return and print the loss and the step of the model that was kept, and load its float32 weights if there are any.

    Raises TrainingError if there is none.
    """
    state = trainer.state
    if state.best_model_checkpoint is None:
        raise TrainingError(f"{title}: the validation loss is not a number; try a lower learning rate")
    if getattr(trainer, KEPT, None) is not None:
        # transformers has loaded the rounded weights; their float32 copies are in the optimizer's state
        trainer._load_optimizer_and_scheduler(state.best_model_checkpoint)
    early = f", and training stopped at step {state.global_step}" if state.global_step < state.max_steps else ""
    say(f"{title}: the validation loss is lowest at step {state.best_global_step}, {state.best_metric:.4g}{early}")
    figures = {"loss": state.best_metric, "step": state.best_global_step, "examples": len(trainer.eval_dataset)}
    return {f"validation/{name}": float(value) for name, value in figures.items()}
