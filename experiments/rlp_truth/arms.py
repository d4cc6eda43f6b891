"""The arms of the experiment and its sizes."""

from dataclasses import dataclass, field
from typing import Literal

from console.ranges import Count, Couple, FlipShare, NotNegative, Number, Positive, Share
from experiments.world.sizes import ModelOptions
from trainer.reward_model.bottleneck_options import Objective
from trainer.rlp.synthetic_options import Method

SFT, PPO = "sft", "ppo"


@dataclass(frozen=True)
class Arm:
    """One policy. The iterations are those of trainer.rlp."""

    about: str
    iteration: Literal[1, 2, 3]
    """The iteration whose model answers: SFT, PPO, or PPO on the retrained reward model."""
    best: bool = False
    """Keep the answer with the highest reward for each instruction."""
    again: bool = False
    """Train with another seed than the corresponding arm."""
    longer: int = 1
    """The factor on the steps of PPO."""
    uml: Objective | None = None
    """The objective of the bottleneck, if the reward model is retrained with one."""
    spg: Method | None = None
    """How synthetic pairs are made, if the reward model is retrained with them."""


ARMS = {
    SFT: Arm("SFT on right answers", 1),
    "best_of_n": Arm("the best of n answers of SFT by the first reward model", 1, best=True),
    PPO: Arm("PPO from SFT on the first reward model", 2),
    "ppo_twice": Arm("control: the same PPO with another seed", 2, again=True),
    "uml": Arm("RLP-UML: a bottleneck on PPO's answers, and PPO from SFT on the new reward model", 3, uml="mib"),
    "spg": Arm("RLP-SPG: synthetic pairs of PPO's answers, and PPO from SFT on the new reward model", 3, spg="spg"),
    "select_all": Arm("as spg, with gamma 0", 3, spg="select_all"),
    "reward": Arm("two of PPO's answers, ordered by the first reward model", 3, spg="reward"),
    "ppo_longer": Arm("control: PPO on the first reward model with twice the steps", 2, longer=2),
}


@dataclass(frozen=True)
class Size:
    """The size of one experiment. The defaults are those of the documented table."""

    model: ModelOptions = field(default_factory=ModelOptions)
    ift: Count = 24
    """Right answers that SFT learns from."""
    prompts: Count = 5000
    """Instructions whose two answers are labelled."""
    unlabelled: Count = 1000
    """Other instructions for PPO and the samples, at most."""
    held_out: Count = 200
    """Held-out instructions. Each is answered `n` times."""
    n: Couple = 10
    """Samples per instruction: the policy's for retraining, the measured ones, and those of best-of-n."""
    length_weight: Number = 0.5
    """The worth of one more symbol to the labeller, in points of quality: its bias."""
    flip: FlipShare = 0.15
    """The share of labels that is flipped: its noise."""
    gamma: Share = 0.5
    """The gamma of SPG."""
    uml_weight: Positive = 0.5
    """The lambda of UML."""
    sft_epochs: Count = 6
    sft_learning_rate: Positive = 1e-3
    reward_epochs: Count = 3
    reward_learning_rate: Positive = 1e-3
    ppo_steps: Count = 24
    ppo_batch_size: Count = 128
    """Answers per step, learnt from once. An optimiser step is on a quarter of them."""
    ppo_learning_rate: Positive = 3e-4
    kl_coef: NotNegative = 0.05
    max_new_tokens: Count = 12
