"""The settings of a run of reward learning on policy, as given in recipes/rlp_uml.toml and recipes/rlp_spg.toml."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from console.command import Flags, off
from console.ranges import Count, Couple, FlipShare, NotNegative, Share, ShareAbove0, ShareBelow1
from engines.options import EngineOptions, SharedEngineOptions
from judges.options import PAIRWISE, JudgeOptions
from trainer.ppo.options import PPOOptions
from trainer.reward_model.bottleneck_options import BottleneckOptions
from trainer.reward_model.options import RewardOptions
from trainer.rlp.synthetic_options import SyntheticOptions
from trainer.sft.options import SFTOptions
from trainer.training.options import LoraOptions


@dataclass(frozen=True)
class SeedOptions:
    """The data that the run starts from. The default of each is the packaged file."""

    prompts: Path | None = None
    """Prompts, split between the preferences, PPO and the evaluation. None is used for two of them."""
    ift: Path | None = None
    """Conversations that show how to answer. Of pairs, the chosen answers are used. Their prompts are not used
    again."""
    codes: str | None = None
    """The meaning of labels of two answers in `ift`, like 0=a,1=b,2=tie with a as the first. 1, 2, a, b and tie are
    known."""


@dataclass(frozen=True)
class PreferenceOptions:
    """The preferences D that the first reward model learns: pairs of the SFT model's answers (section 2, step 1)."""

    file: Path | None = None
    """Existing pairs, for example labelled by people. The annotator is then not asked for preferences."""
    codes: str | None = None
    """The meaning of the labels in `file`, like 0=a,1=b,2=tie with a as the first. 1, 2, a, b and tie are known."""
    prompts: Count = 16
    """Prompts that are answered twice."""
    max_new_tokens: Count = 300
    """The longest answer."""
    temperature: NotNegative = 1.0
    top_p: ShareAbove0 = 1.0
    flip: FlipShare = 0.0
    """The share of labels flipped at random before training (AlpacaFarm: 0.25)."""
    held_out_share: ShareBelow1 = 0.1
    """The share of prompts whose pairs are held out to measure the reward models."""


@dataclass(frozen=True)
class AnnotatorOptions:
    """The judge that prefers one of two answers, for the preferences and in the evaluation."""

    engine: EngineOptions = field(default_factory=EngineOptions)
    judge: JudgeOptions = PAIRWISE
    label: Literal["agreement", "mean", "constraints"] = "agreement"
    """agreement: the answer that both orders name; without agreement there is no label. mean: the answer preferred on
    the mean of both orders, in which a position bias cancels out. Use it for a small judge that always names the same
    position. constraints: the answer that follows more of its prompt's constraints, which a program checks. No model is
    asked."""


@dataclass(frozen=True)
class UnlabelledOptions:
    """The unlabelled prompts U, which PPO trains on and the policy is sampled on."""

    prompts: Count = 24


@dataclass(frozen=True)
class SampleOptions:
    """The policy's answers P that the reward model is retrained with (section 3.1)."""

    n: Couple = 10
    """Answers per prompt."""
    max_new_tokens: Count = 300
    """The longest answer."""
    temperature: NotNegative = 1.0
    top_p: ShareAbove0 = 1.0
    min_coverage: Share = 0.9
    """Stop if a smaller share of the answers gets a reward."""


@dataclass(frozen=True)
class RLPOptions:
    """How the reward model is retrained on the policy's answers."""

    method: Literal["uml", "spg"] = "spg"
    """uml: on D, with the multi-view bottleneck on the policy's answers ([bottleneck]). spg: on D and on synthetic
    pairs of them ([synthetic]). The paper never combines the two."""
    start: Literal["sft", "reward_model"] = "sft"
    """The model that the retraining starts from. sft: the SFT model, as for the first one. reward_model: the first
    reward model. The paper does not say."""


@dataclass(frozen=True)
class EvalOptions:
    """The comparison of the models, on prompts that nothing else uses."""

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
    lora: LoraOptions = field(default_factory=LoraOptions)

    @property
    def asks_annotator(self) -> bool:
        """Whether the run asks its annotator at all."""
        return self.preferences.file is None or self.eval.judged
