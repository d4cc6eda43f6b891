"""The settings of the multi-view information bottleneck, most of which the paper leaves open."""

from dataclasses import dataclass
from typing import Literal

from console.errors import InputError
from console.ranges import Count, Positive, check_ranges

MAX_WIDTH = 1024
"""The width of Federici et al."""
PER_FEATURE = 4
"""The width per feature of a model that is too small for MAX_WIDTH."""
Objective = Literal["mib", "mvi", "infomax", "contrastive"]


@dataclass(frozen=True)
class BottleneckOptions:
    """Settings of the loss term that shapes the reward model's representation (RLP-UML, arXiv 2403.19279).

    A view is a prompt with one of the policy's answers. Two views of one prompt are a positive. Settings that the paper
    does not give come from Federici et al. (arXiv 2002.07017) if they have them.
    """

    objective: Objective = "mib"
    """mib: -I(z1; z2) + SKL, RLP-UML's own. mvi: without SKL. infomax: -I(v; z). contrastive: InfoNCE on the same
    positives. The paper's table 4 has all four. Its contrastive objective follows SwAV, whose even assignment to
    prototypes needs thousands of views at once, so the plain loss is used here."""
    weight: Positive = 0.5
    """lambda, the weight of this term beside the pairs' loss (from the paper)."""
    position: Literal["last", "mean"] = "last"
    """The hidden state that represents a view. last: that of the token the reward is read from, so that the term shapes
    the reward's input. mean: the mean over all tokens. The paper does not say."""
    z_dim: Count = 64
    """Dimensions of z (from Federici et al.)."""
    width: Count | None = None
    """Width of the hidden layers; the default is 1024 (from Federici et al.), or 4 times the features of a smaller
    model."""
    divergence: Literal["analytic", "monte_carlo"] = "analytic"
    """Computation of SKL. analytic: its closed form, without noise. monte_carlo: from drawn z (Federici et al.)."""
    negatives: Literal["roll", "all"] = "roll"
    """Negatives of z2. roll: the next prompt's z1 of the micro-batch (Federici et al.). all: every other prompt's."""
    learning_rate: Positive = 1e-4
    """Learning rate of the encoder and the critic, which start from scratch (from Federici et al.)."""
    views_per_pair: Count = 1
    """View pairs per preference pair in a micro-batch: the mix of P and D. A micro-batch needs 2 view pairs."""
    temperature: Positive = 0.1
    """Temperature of the cosines in contrastive (from SwAV)."""

    def check(self, micro_batch_size: int) -> None:
        """Raise InputError if a setting is out of range or a micro-batch would have no negatives."""
        check_ranges(self)
        if micro_batch_size * self.views_per_pair < 2:
            raise InputError(
                "a micro-batch of one view pair has no negatives; raise --micro-batch-size or "
                "--bottleneck.views-per-pair"
            )

    def width_for(self, n_features: int) -> int:
        """Return the width of the hidden layers for a model with `n_features` hidden units."""
        return self.width or min(MAX_WIDTH, PER_FEATURE * n_features)
