"""Train a reward model on preference pairs, and measure it on pairs of held-out prompts (AlpacaFarm; RLP).

python -m trainer.reward_model pairs.jsonl --model iter1 --out runs/rm/model
python -m trainer.reward_model pairs.jsonl --model iter1 --margins --held-out-share 0.2 --out runs/rm/model
python -m trainer.reward_model pairs.jsonl --model iter1 --samples responses.jsonl --out runs/rm/model       RLP-UML
python -m trainer.reward_model pairs.jsonl --samples responses.jsonl --bottleneck.objective mvi --out runs/rm/model

FILE has preference pairs, as for trainer.dpo. A pair's `weight` is its weight in the loss, over the mean weight. With
--samples, several answers of the policy per prompt, the model also learns a representation of them: RLP's multi-view
information bottleneck (arXiv 2403.19279). The saved model is a plain sequence classifier with one label. A reward model
given as --model keeps its head.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import tyro

from console.command import run
from console.errors import InputError
from console.output import tell_plan
from console.ranges import ShareBelow1
from console.table import print_table
from console.writing import OutFolder
from engines.models import resolve_model
from records import Pair
from records.fields.wanted import MARGIN, WEIGHT
from records.files import BadRows, take
from records.shapes import read_pairs, read_responses
from trainer.preference.columns import check_pairs
from trainer.reward_model.bottleneck_options import BottleneckOptions
from trainer.reward_model.data import check_margins, held_out_split
from trainer.reward_model.options import RewardOptions, check_reward_options
from trainer.reward_model.views import ViewPair, view_pairs
from trainer.training.command import memory_plan, validation_plan
from trainer.training.flags import TrainFlags, codes_of
from trainer.training.options import with_lora
from trainer.training.outcome import check_free, claim_folder
from trainer.training.processes import one_voice


@dataclass(frozen=True, kw_only=True)
class Config(TrainFlags):
    """Train a reward model on preference pairs."""

    out: OutFolder = Path("runs/rm/model")
    """The folder of the new model."""
    held_out_share: ShareBelow1 = 0.1
    """The share of prompts whose pairs are kept out of training to measure the model on; 0 measures nothing."""
    samples: Path | None = None
    """Answers of the policy, several per prompt, for the bottleneck."""
    training: Annotated[RewardOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=RewardOptions)
    bottleneck: BottleneckOptions = field(default_factory=BottleneckOptions)


@one_voice()
def main(config: Config) -> None:
    """Read, train, save, measure and print the report."""
    config = replace(config, training=with_lora(config.training, config.lora))
    pairs = _read_pairs(config)
    learned, held_out = held_out_split(pairs, config.held_out_share, config.seed)
    validation = validation_plan(config.training, (pair.prompt for pair in learned), config.seed)
    samples = None if config.samples is None else _read_views(config, config.samples)
    if config.dry_run:
        check_free(config.out, [config.model, config.file, config.samples], fresh=config.fresh)
        options = config.training
        memory = memory_plan(config, options, 2 * options.micro_batch_size * options.max_length)
        beside = f", and on {len(samples)} view pairs of {config.samples}" if samples is not None else ""
        counts = {"pairs": len(learned), "held_out_pairs": len(held_out), "view_pairs": len(samples or ())}
        tell_plan(
            {"model": config.model, "of": config.file, **counts, "out": config.out} | validation[0] | memory[0],
            f"would train {config.model} on {len(learned)} pairs of {config.file}{beside}",
            *validation[1],
            f"would measure it on {len(held_out)} pairs of other prompts and save it to {config.out}",
            *memory[1],
            as_json=config.json,
        )
        return
    from trainer.reward_model.held_out import train_and_measure

    parent = resolve_model(config.model, config.run)
    claim_folder(config.out, [parent, config.file, config.samples], fresh=config.fresh)
    bottleneck = None if samples is None else config.bottleneck
    row = train_and_measure(
        parent, config.out, learned, held_out, config.training, config.seed, samples=samples, bottleneck=bottleneck
    )
    if row is not None:
        print_table([row], as_json=config.json)


def _read_pairs(config: Config) -> list[Pair]:
    """Return the pairs of the file after checking them against the flags."""
    if config.file is None:
        raise InputError("name a file of preference pairs; see --help")
    if config.samples is None and config.bottleneck != BottleneckOptions():
        raise InputError("--bottleneck.* says how --samples are learned from; give them too")
    check_reward_options(config.training, None if config.samples is None else config.bottleneck)
    used = (WEIGHT, MARGIN) if config.training.margins else (WEIGHT,)
    rows = read_pairs(config.file, BadRows(strict=config.strict), codes_of(config), used=used)
    pairs = list(take(rows, config.limit))
    check_pairs(pairs)
    if config.training.margins:
        check_margins(pairs)
    return pairs


def _read_views(config: Config, samples: Path) -> list[ViewPair]:
    pairs = view_pairs(list(read_responses(samples, BadRows(strict=config.strict))), config.seed)
    if not pairs:
        raise InputError(f"{samples}: no prompt has two different answers, which --samples needs")
    return pairs


if __name__ == "__main__":
    run(Config, main, "python -m trainer.reward_model")
