"""Runs the command's training: claims the output, opens the reward, trains, and returns the table row."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from engines.options import beside_training, open_engine, pinned
from judges.tools.evidence import NO_MODEL
from records import Prompt
from records.store import set_aside
from trainer.ppo.options import PPOOptions, RewardChoice
from trainer.ppo.rewards import JUDGE, RewardSource, open_judge_reward, reward_function, reward_model
from trainer.ppo.trainer import checkpoints_of, log_of, make_accelerator, train_ppo
from trainer.training.outcome import claim_folder, table_row
from trainer.training.processes import is_first

if TYPE_CHECKING:
    from console.table import Cell

COLUMNS = {"reward": "reward", "kl": "kl", "length": "length", "cut off, share": "cut_off"}
"""Titles of table columns and the metrics that they show."""


def run_ppo(
    parent: Path,
    out: Path,
    prompts: Sequence[Prompt],
    choice: RewardChoice,
    options: PPOOptions,
    seed: int,
    *,
    fresh: bool,
) -> "dict[str, Cell]":
    """Train the model in `parent` with the chosen reward, save it in `out`, and return the table row."""
    _claim(out, [parent, choice.name], fresh=fresh)
    with _open_reward(choice, out, prompts, options, seed) as source:
        trained = train_ppo(parent, out, prompts, source, options, seed)
    return table_row(trained, out) | {title: trained.metrics.get(name) for title, name in COLUMNS.items()}


def _claim(out: Path, read: Sequence[str | Path], *, fresh: bool) -> None:
    """Make sure that the model may be saved. With --fresh, the checkpoints and the steps are set aside too."""
    claim_folder(out, read, fresh=fresh)
    if fresh and is_first():
        set_aside(checkpoints_of(out))
        set_aside(log_of(out))


@contextmanager
def _open_reward(
    choice: RewardChoice, out: Path, prompts: Sequence[Prompt], options: PPOOptions, seed: int
) -> Iterator[RewardSource]:
    rank = make_accelerator().process_index  # it also gives the process its own device, before a model is loaded
    if choice.name == JUDGE:
        engine = open_engine(beside_training(pinned(choice.engine))) if choice.evidence.needs_model else NO_MODEL
        path = out.with_name(f"{out.name}.judgments-{rank}.jsonl")
        with open_judge_reward(engine, choice.judge, choice.evidence, path, prompts, seed) as source:
            yield source
    elif Path(choice.name).is_dir():
        yield reward_model(Path(choice.name), choice.reward_engine.of_model(options.generation_batch_size))
    else:
        yield reward_function(choice.name)
