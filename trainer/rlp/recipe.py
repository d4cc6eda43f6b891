"""The settings of a run of reward learning on policy, as recipes/rlp_uml.toml and recipes/rlp_spg.toml give them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from console.command import Flags, off
from console.errors import InputError
from console.ranges import Count, Couple, FlipShare, NotNegative, Share, ShareAbove0, ShareBelow1, check_command
from engines.options import EngineOptions, SharedEngineOptions, check_engine, is_iteration
from judges.options import PAIRWISE, JudgeOptions
from trainer.ppo.options import PPOOptions, check_ppo
from trainer.reward_model.bottleneck_options import BottleneckOptions
from trainer.reward_model.options import RewardOptions
from trainer.rlp.synthetic_options import SyntheticOptions
from trainer.sft import SFTOptions
from trainer.training.options import check_options, with_template


@dataclass(frozen=True)
class SeedOptions:
    """What the run starts from; the default of each is the packaged one."""

    prompts: Path | None = None
    """Prompts, dealt out to the preferences, to PPO and to the evaluation; none is used for two of them."""
    ift: Path | None = None
    """Conversations that show how to answer, of pairs the chosen answers; their prompts are not used again."""
    codes: str | None = None
    """What labels of two answers in `ift` mean, like 0=a,1=b,2=tie, a being the first; 1, 2, a, b and tie need none."""


@dataclass(frozen=True)
class PreferenceOptions:
    """The preferences D that the first reward model learns: pairs of the SFT model's answers (section 2, step 1)."""

    file: Path | None = None
    """Pairs that are there already, labelled by people for example; then nobody is asked."""
    codes: str | None = None
    """What the labels in `file` mean, like 0=a,1=b,2=tie, a being the first; 1, 2, a, b and tie need none."""
    prompts: Count = 16
    """Prompts that are answered twice."""
    max_new_tokens: Count = 300
    """The longest answer."""
    temperature: NotNegative = 1.0
    top_p: ShareAbove0 = 1.0
    flip: FlipShare = 0.0
    """The share of the labels that is turned round at random before they are learnt (AlpacaFarm: 0.25)."""
    held_out_share: ShareBelow1 = 0.1
    """The share of the prompts whose pairs are not learnt, but tell how good a reward model is."""


@dataclass(frozen=True)
class AnnotatorOptions:
    """Who says which of two answers is better: of the preferences, and in the evaluation."""

    engine: EngineOptions = field(default_factory=EngineOptions)
    judge: JudgeOptions = PAIRWISE
    label: Literal["agreement", "mean"] = "agreement"
    """agreement: the answer that both orders name; where they differ there is no label. mean: the answer that is
    preferred on the mean of both orders, where a preference for a place cancels out: for a small judge that always
    names the same place."""


@dataclass(frozen=True)
class UnlabelledOptions:
    """The prompts U without a label, which PPO learns on and the policy is sampled on."""

    prompts: Count = 24


@dataclass(frozen=True)
class SampleOptions:
    """The policy's answers P that the reward model is retrained with (section 3.1)."""

    n: Couple = 10
    """Answers a prompt."""
    max_new_tokens: Count = 300
    """The longest answer."""
    temperature: NotNegative = 1.0
    top_p: ShareAbove0 = 1.0
    min_coverage: Share = 0.9
    """Stop where a smaller share of the answers gets a reward."""


@dataclass(frozen=True)
class RLPOptions:
    """How the reward model is retrained on what the policy writes."""

    method: Literal["uml", "spg"] = "spg"
    """uml: on D, with the multi-view bottleneck on the policy's answers ([bottleneck]). spg: on D and on synthetic
    pairs of them ([synthetic]). The paper never combines the two."""
    start: Literal["sft", "reward_model"] = "sft"
    """The model that the retraining starts from. sft: as the first one. reward_model: the first one itself. The paper
    does not say."""


@dataclass(frozen=True)
class EvalOptions:
    """How the models are compared, on prompts that nothing else uses."""

    prompts: Count = 16
    """Held-out prompts."""
    max_new_tokens: Count = 300
    """The longest answer."""
    temperature: NotNegative = 0.7
    top_p: ShareAbove0 = 1.0
    judged: Annotated[bool, off("Do not ask the annotator: no win rates, no labelled samples.")] = True
    """Let the annotator compare each model with the SFT model, and label pairs of the policies' samples."""


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """A whole run: SFT, preferences, reward model, PPO, the reward model again, PPO again."""

    name: str = "rlp"
    """The run's folder under runs/."""
    engine: SharedEngineOptions = field(default_factory=EngineOptions)
    seeds: SeedOptions = field(default_factory=SeedOptions)
    sft: SFTOptions = field(default_factory=SFTOptions)
    preferences: PreferenceOptions = field(default_factory=PreferenceOptions)
    annotator: AnnotatorOptions = field(default_factory=AnnotatorOptions)
    reward: RewardOptions = field(default_factory=RewardOptions)
    unlabelled: UnlabelledOptions = field(default_factory=UnlabelledOptions)
    ppo: PPOOptions = field(default_factory=PPOOptions)
    samples: SampleOptions = field(default_factory=SampleOptions)
    rlp: RLPOptions = field(default_factory=RLPOptions)
    bottleneck: BottleneckOptions = field(default_factory=BottleneckOptions)
    synthetic: SyntheticOptions = field(default_factory=SyntheticOptions)
    eval: EvalOptions = field(default_factory=EvalOptions)

    @property
    def asks_annotator(self) -> bool:
        """Whether the run needs its annotator at all."""
        return self.preferences.file is None or self.eval.judged


def check(config: Config) -> None:
    """Raise InputError where the settings do not fit together, before anything is loaded."""
    check_command(config)
    if config.engine.engine != "auto" or config.engine.base_url:
        raise InputError("the run trains the model that it asks, so it runs it in process: no --engine or --base-url")
    if config.asks_annotator:
        _check_annotator(config.annotator)
    _check_trainings(config)
    _check_method(config)
    annotator = config.annotator.engine
    if config.asks_annotator and (annotator.run or not is_iteration(annotator)):  # iterN is one of this run
        check_engine(annotator)


def _check_annotator(options: AnnotatorOptions) -> None:
    from judges.judging.judge import checked_rubric

    if (rubric := checked_rubric(options.judge)).kind != "pair":
        raise InputError(
            f"--annotator.judge.rubric {rubric.name} scores one answer; give one that compares two: pairwise"
        )


def _check_trainings(config: Config) -> None:
    for training in (config.sft, config.reward):
        check_options(with_template(training, config.engine.chat_template_kwargs))
    check_ppo(config.ppo, n_processes=1)
    if config.reward.margins:
        raise InputError("--reward.margins needs a margin for every pair, which an annotator's label does not have")


def _check_method(config: Config) -> None:
    """Raise InputError where settings are of the other method: they would change nothing."""
    if config.rlp.method == "uml":
        config.bottleneck.check(config.reward.micro_batch_size)
        if config.synthetic != SyntheticOptions():
            raise InputError("--synthetic.* is for --rlp.method spg; uml makes no synthetic pairs")
        return
    if config.bottleneck != BottleneckOptions():
        raise InputError("--bottleneck.* is for --rlp.method uml; spg learns from pairs alone")
