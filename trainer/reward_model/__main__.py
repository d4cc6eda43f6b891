"""Train a reward model on preference pairs, and measure it on pairs of held-out prompts (AlpacaFarm; RLP).

python -m trainer.reward_model pairs.jsonl --model iter1 --out runs/rm/model
python -m trainer.reward_model pairs.jsonl --model iter1 --margins --held-out-share 0.2 --out runs/rm/model
python -m trainer.reward_model pairs.jsonl --model iter1 --samples responses.jsonl --out runs/rm/model       RLP-UML
python -m trainer.reward_model pairs.jsonl --samples responses.jsonl --bottleneck.objective mvi --out runs/rm/model

FILE has preference pairs, as for trainer.dpo; a pair's `weight` is its weight in the loss, over the mean weight. With
--samples, answers of the policy, several to a prompt, the model also learns a representation of them: RLP's multi-view
information bottleneck (arXiv 2403.19279). What is saved is a plain sequence classifier with one label; a reward model
given as --model keeps its head.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from console.command import run
from console.errors import InputError
from console.output import tell_plan
from console.ranges import ShareBelow1
from console.writing import OutFolder
from trainer.preference.command import check_pairs
from trainer.reward_model.bottleneck_options import BottleneckOptions
from trainer.reward_model.options import RewardOptions, check_reward_options
from trainer.reward_model.train import train_reward_model
from trainer.training.flags import TrainFlags
from trainer.training.outcome import Trained
from trainer.training.processes import is_first, one_voice

if TYPE_CHECKING:
    from console.table import Cell
    from records import Pair
    from trainer.reward_model.views import ViewPair


@dataclass(frozen=True, kw_only=True)
class Config(TrainFlags):
    """Train a reward model on preference pairs."""

    out: OutFolder = Path("runs/rm/model")
    """The folder of the new model."""
    held_out_share: ShareBelow1 = 0.1
    """The share of the prompts whose pairs are not learnt from, but measured on; 0 measures nothing."""
    samples: Path | None = None
    """Answers of the policy, several to a prompt, for the bottleneck."""
    training: Annotated[RewardOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=RewardOptions)
    bottleneck: BottleneckOptions = field(default_factory=BottleneckOptions)


@one_voice()
def main(config: Config) -> None:
    """Read, train, save, measure and print what happened."""
    from console.table import print_table
    from engines.models import resolve_model
    from records.files import BadRows, take
    from records.shapes import read_pairs
    from trainer.reward_model.data import check_margins, held_out_split
    from trainer.training.flags import codes_of
    from trainer.training.outcome import claim_folder, table_row

    if config.file is None:
        raise InputError("name a file of preference pairs; see --help")
    if config.samples is None and config.bottleneck != BottleneckOptions():
        raise InputError("--bottleneck.* says how --samples are learnt from; give them too")
    check_reward_options(config.training, None if config.samples is None else config.bottleneck)
    pairs = list(take(read_pairs(config.file, BadRows(strict=config.strict), codes_of(config)), config.limit))
    check_pairs(pairs)
    if config.training.margins:
        check_margins(pairs)
    learnt, held_out = held_out_split(pairs, config.held_out_share, config.seed)
    samples = _view_pairs(config) if config.samples else None
    parent = resolve_model(config.model, config.run, weights=not config.dry_run)
    if config.dry_run:
        beside = f", and on {len(samples)} view pairs of {config.samples}" if samples is not None else ""
        counts = {"pairs": len(learnt), "held_out_pairs": len(held_out), "view_pairs": len(samples or ())}
        tell_plan(
            {"model": config.model, "of": config.file, **counts, "out": config.out},
            f"would train {config.model} on {len(learnt)} pairs of {config.file}{beside}",
            f"would measure it on {len(held_out)} pairs of other prompts and save it to {config.out}",
            as_json=config.json,
        )
        return
    claim_folder(config.out, fresh=config.fresh)
    bottleneck = None if samples is None else config.bottleneck
    trained = train_reward_model(
        parent, config.out, learnt, config.training, config.seed, samples=samples, bottleneck=bottleneck
    )
    if not is_first():
        return  # one process measures what all have trained
    row = table_row(trained, config.out) | _figures(trained)
    print_table([row | _held_out_figures(config, held_out)], as_json=config.json)


def _view_pairs(config: Config) -> "list[ViewPair]":
    from records.files import BadRows
    from records.shapes import read_responses
    from trainer.reward_model.views import view_pairs

    assert config.samples is not None
    found = view_pairs(list(read_responses(config.samples, BadRows(strict=config.strict))), config.seed)
    if not found:
        raise InputError(f"{config.samples}: no prompt has two different answers, which --samples needs")
    return found


def _figures(trained: Trained) -> "dict[str, Cell]":
    return {name.removeprefix("bottleneck/"): value for name, value in trained.metrics.items()}


def _held_out_figures(config: Config, held_out: "Sequence[Pair]") -> "dict[str, Cell]":
    from engines.reward_model import RewardModel
    from trainer.reward_model.accuracy import figures, measure

    if not held_out:
        return {}
    return figures(measure(RewardModel.load(config.out, str(config.out)), held_out, config.seed))


if __name__ == "__main__":
    run(Config, main, "python -m trainer.reward_model")
