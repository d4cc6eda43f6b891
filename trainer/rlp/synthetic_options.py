"""The settings of the synthetic preference pairs, in a light module because a recipe holds them."""

from dataclasses import dataclass, field
from typing import Literal

from console.ranges import Positive, Share
from engines.options import EngineOptions
from judges.cluster.equivalences.options import EquivalenceOptions
from judges.options import PAIRWISE, JudgeOptions

Method = Literal["spg", "select_all", "reward", "rlaif"]


@dataclass(frozen=True)
class SyntheticOptions:
    """How preference pairs are made of the policy's own answers (RLP-SPG, arXiv 2403.19279, section 3.3)."""

    method: Method = "spg"
    """The rows of the paper's table 5. spg: the best-rewarded answer of the largest meaning cluster against any answer
    outside it, if that cluster is large enough. select_all: the same with gamma 0. reward: two answers drawn at random,
    the better-rewarded one chosen. rlaif: the same two, with the policy itself as the judge."""
    gamma: Share = 0.5
    """Make a pair only if the largest cluster has at least this share of the answers (spg; the paper's value)."""
    relation: EquivalenceOptions = field(default_factory=EquivalenceOptions)
    engine: EngineOptions = field(default_factory=EngineOptions)
    """The model asked by --synthetic.relation.equivalence judge, and the batch size of nli and embedding."""
    judge: JudgeOptions = PAIRWISE
    """How the policy is asked which of two answers is better, in both orders (rlaif)."""
    weight: Positive = 1.0
    """The weight of a synthetic pair in the loss, relative to 1 for a preference. The paper gives none."""

    @property
    def least_share(self) -> float:
        """The least share of the largest cluster."""
        return 0.0 if self.method == "select_all" else self.gamma
