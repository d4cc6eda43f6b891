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
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from console.command import run
from console.errors import InputError
from console.output import tell_plan
from console.ranges import Count, Positive, Share, ShareBelow1
from console.writing import OutFolder
from trainer.pair_command import check_pairs
from trainer.rlp.bottleneck_options import BottleneckOptions
from trainer.training.fit import Trained
from trainer.training.flags import TrainFlags
from trainer.training.options import TrainingOptions, check_options
from trainer.training.processes import is_first, is_sharded, one_voice

if TYPE_CHECKING:
    from console.table import Cell
    from records import Pair
    from trainer.rlp.views import ViewPair
    from trainer.training.checkpoints import Checkpoints


@dataclass(frozen=True)
class RewardOptions(TrainingOptions):
    """How to train; the defaults are AlpacaFarm's, but for the cosine, which falls to a tenth as all here do."""

    learning_rate: Positive = 3e-6
    max_length: Count = 512
    """Tokens of prompt and answer; a pair with a longer one is left out and counted."""
    warmup_share: Share = 0.03
    margins: bool = False
    """Ask each pair's reward to differ by its `margin` at least: -log sigmoid(r(yw) - r(yl) - m)."""
    head: Literal["zero", "random"] = "zero"
    """The weights that the reward is read with, at the start. zero: every reward is 0, whatever the seed. random: as
    AlpacaFarm has them, uniform in +-1/sqrt(features); of its head the bias only is zero, and here there is none."""


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
    from trainer.reward_data import check_margins, held_out_split
    from trainer.training.fit import claim_folder, table_row
    from trainer.training.flags import codes_of

    if config.file is None:
        raise InputError("name a file of preference pairs; see --help")
    if config.samples is None and config.bottleneck != BottleneckOptions():
        raise InputError("--bottleneck.* says how --samples are learnt from; give them too")
    _check(config.training, None if config.samples is None else config.bottleneck)
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


def train_reward_model(
    parent: Path,
    out: Path,
    pairs: "Sequence[Pair]",
    options: RewardOptions,
    seed: int,
    title: str = "reward model",
    *,
    samples: "Sequence[ViewPair] | None" = None,
    bottleneck: BottleneckOptions | None = None,
    checkpoints: "Checkpoints | None" = None,
) -> Trained:
    """Train a reward model from the model in `parent` on `pairs` and save it in `out`.

    The loss is in `trainer.reward_trainer`; with equal weights and no bottleneck it is TRL's own. With `samples`, two
    answers of the policy to a prompt each, `bottleneck` says how they shape the representation. Raises InputError for a
    bad setting or pairs that lack what it needs, TrainingError where there is nothing to train on or the loss is not a
    number.
    """
    _check(options, bottleneck)
    if (samples is None) != (bottleneck is None):
        raise InputError("the policy's samples and the bottleneck's options go together: give both or neither")
    check_pairs(pairs)
    if options.margins:
        from trainer.reward_data import check_margins

        check_margins(pairs)
    from datasets import Dataset
    from trl import RewardConfig

    from engines.chat.template import load_tokenizer
    from trainer.reward_data import pair_rows, set_padding, with_views
    from trainer.reward_trainer import JointRewardTrainer
    from trainer.training.fit import fit, trainer_settings
    from trainer.training.lengths import Lengths, n_cut_off
    from trainer.training.resume import work_of

    tokenizer = load_tokenizer(parent, options.chat_template_kwargs)
    if tokenizer.chat_template is None:
        raise InputError(f"{parent}: its tokenizer has no chat template; use an instruction-tuned model")
    rows = pair_rows(tokenizer, pairs, options.max_length, margins=options.margins)
    set_padding(tokenizer, rows)
    if samples is not None and bottleneck is not None:
        rows = with_views(tokenizer, rows, samples, bottleneck.views_per_pair, options.max_length)
    trainer = JointRewardTrainer(
        load_classifier(parent, options.head, seed),
        args=RewardConfig(**trainer_settings(options, work_of(out), seed)),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        bottleneck=bottleneck,
    )
    lengths = Lengths(len(pairs) - len(rows), n_cut_off(pairs, title))
    return fit(trainer, out, title, checkpoints, options, trainer.bottleneck, lengths)


def load_classifier(parent: Path, head: Literal["zero", "random"], seed: int) -> Any:
    """Return the model in `parent` as a sequence classifier with one label, in float32, ready to train.

    A language model gets a new head; a reward model keeps its own. Raises InputError for another architecture.
    """
    import torch
    from transformers import AutoModelForSequenceClassification

    from engines.reward_model import is_reward_model
    from records.keys import derived_seed

    model = AutoModelForSequenceClassification.from_pretrained(
        parent, num_labels=1, dtype=torch.float32, use_safetensors=True
    )
    weight = getattr(getattr(model, "score", None), "weight", None)
    if weight is None:
        raise InputError(f"{parent}: a {type(model).__name__} cannot become a reward model: it has no head 'score'")
    if not is_reward_model(parent):
        width = 0.0 if head == "zero" else weight.shape[1] ** -0.5
        generator = torch.Generator().manual_seed(derived_seed(seed, "reward head"))
        torch.nn.init.uniform_(weight, -width, width, generator=generator)
    return model


def _check(options: RewardOptions, bottleneck: BottleneckOptions | None) -> None:
    check_options(options)
    if is_sharded():
        raise InputError("a reward model is trained on whole copies of its weights; use a file without FSDP")
    if bottleneck is not None:
        bottleneck.check(options.micro_batch_size)


def _view_pairs(config: Config) -> "list[ViewPair]":
    from records.files import BadRows
    from records.shapes import read_responses
    from trainer.rlp.views import view_pairs

    assert config.samples is not None
    found = view_pairs(list(read_responses(config.samples, BadRows(strict=config.strict))), config.seed)
    if not found:
        raise InputError(f"{config.samples}: no prompt has two different answers, which --samples needs")
    return found


def _figures(trained: Trained) -> "dict[str, Cell]":
    return {name.removeprefix("bottleneck/"): value for name, value in trained.metrics.items()}


def _held_out_figures(config: Config, held_out: "Sequence[Pair]") -> "dict[str, Cell]":
    from engines.reward_model import RewardModel
    from trainer.reward_accuracy import figures, measure

    if not held_out:
        return {}
    return figures(measure(RewardModel.load(config.out, str(config.out)), held_out, config.seed))


if __name__ == "__main__":
    run(Config, main, "python -m trainer.reward_model")
