"""The settings of the multi-view information bottleneck; the paper leaves most of them open."""

from dataclasses import dataclass
from typing import Literal

from console.errors import InputError
from console.ranges import Count, Positive, check_ranges

MAX_WIDTH = 1024
"""Federici et al.'s."""
PER_FEATURE = 4
Objective = Literal["mib", "mvi", "infomax", "contrastive"]


@dataclass(frozen=True)
class BottleneckOptions:
    """How the policy's answers shape the reward model's representation (RLP-UML, arXiv 2403.19279).

    A view is a prompt with one of the policy's answers; two views of one prompt are a positive. What the paper does not
    say is filled in from Federici et al. (arXiv 2002.07017) where it can be.
    """

    objective: Objective = "mib"
    """mib: -I(z1; z2) + SKL, RLP-UML's own. mvi: without SKL. infomax: -I(v; z). contrastive: InfoNCE on the same
    positives (the paper's table 4 has all four; its contrastive one follows SwAV, whose even assignment to prototypes
    needs thousands of views at once, so the plain loss stands here)."""
    weight: Positive = 0.5
    """lambda, of this term beside the pairs' loss (the paper's)."""
    position: Literal["last", "mean"] = "last"
    """Whose final hidden state is a view's feature. last: the token that the reward is read from, so that the term
    shapes what the reward sees. mean: of all tokens. The paper does not say."""
    z_dim: Count = 64
    """Numbers in z (Federici et al.'s)."""
    width: Count | None = None
    """Of the hidden layers; the default is 1024 (Federici et al.'s), and 4 times the features of a smaller model."""
    divergence: Literal["analytic", "monte_carlo"] = "analytic"
    """How SKL is computed. analytic: its closed form, without noise. monte_carlo: from z as drawn (Federici et al.)."""
    negatives: Literal["roll", "all"] = "roll"
    """What z2 is held against: the next prompt's z1 of the micro-batch (Federici et al.'s), or all other ones."""
    learning_rate: Positive = 1e-4
    """Of the encoder and the critic, which start from nothing (Federici et al.'s); the model has its own."""
    views_per_pair: Count = 1
    """View pairs that each preference pair brings into its micro-batch: the mix of P and D. A micro-batch needs 2."""
    temperature: Positive = 0.1
    """Of the cosines (contrastive; SwAV's)."""

    def check(self, micro_batch_size: int) -> None:
        """Raise InputError where a setting is out of range, or a micro-batch would have no negatives."""
        check_ranges(self)
        if micro_batch_size * self.views_per_pair < 2:
            raise InputError(
                "a micro-batch of one view pair has no negatives; raise micro_batch_size or the bottleneck's "
                "views_per_pair"
            )

    def width_for(self, n_features: int) -> int:
        """Return the width of the hidden layers for a model with `n_features` hidden units."""
        return self.width or min(MAX_WIDTH, PER_FEATURE * n_features)
