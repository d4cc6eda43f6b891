"""Checks that the settings of a run fit together, before anything is loaded."""

from console.errors import InputError
from console.flags import in_section
from console.ranges import check_command
from engines.options import check_engine, check_trained, is_iteration
from judges.options import check_reading
from judges.rubrics.checked import checked_rubric
from trainer.ppo.options import check_ppo
from trainer.reward_model.bottleneck_options import BottleneckOptions
from trainer.rlp.recipe import AnnotatorOptions, Config
from trainer.rlp.synthetic_options import SyntheticOptions
from trainer.training.options import check_options, with_lora, with_template


def check(config: Config) -> None:
    """Raise InputError if the settings do not fit together."""
    check_command(config)
    check_trained(config.engine)
    asks_model = config.asks_annotator and config.annotator.label != "constraints"
    if asks_model:
        _check_annotator(config.annotator)
        check_reading(config.annotator.engine, config.annotator.judge)
    _check_trainings(config)
    _check_method(config)
    annotator = config.annotator.engine
    if asks_model and (annotator.run or not is_iteration(annotator)):  # iterN is one of this run
        check_engine(annotator, planned=config.dry_run)


def _check_annotator(options: AnnotatorOptions) -> None:
    if (rubric := checked_rubric(options.judge)).kind != "pair":
        raise InputError(
            f"--annotator.judge.rubric {rubric.name} scores one answer; give one that compares two: pairwise"
        )


def _check_trainings(config: Config) -> None:
    for within, training in (("sft.", config.sft), ("reward.", config.reward)):
        with in_section(within, training):
            check_options(with_template(with_lora(training, config.lora), config.engine.chat_template_kwargs))
    with in_section("ppo.", config.ppo):
        check_ppo(with_lora(config.ppo, config.lora), n_processes=1)
    if config.reward.margins:
        raise InputError("--reward.margins needs a margin for every pair, which an annotator's label does not have")


def _check_method(config: Config) -> None:
    """Raise InputError if a setting belongs to the other method, because it would change nothing."""
    if config.rlp.method == "uml":
        with in_section("reward.", config.reward):
            config.bottleneck.check(config.reward.micro_batch_size)
        if config.synthetic != SyntheticOptions():
            raise InputError("--synthetic.* is for --rlp.method spg; uml makes no synthetic pairs")
        return
    if config.bottleneck != BottleneckOptions():
        raise InputError("--bottleneck.* is for --rlp.method uml; spg learns from pairs alone")
