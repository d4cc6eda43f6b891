"""Two-layer networks, one per seed, in batched tensors, so that all seeds train at once.

Shapes: K seeds, S states, D numbers that encode a state, H hidden, O outputs, N any number of codes. A loss is summed
over the seeds, so that each network gets the gradient it would have alone.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from records.keys import derived_seed
from trainer.frozen_lake.lake import ACTIONS, Lake
from trainer.frozen_lake.options import LakeOptions


class Networks(nn.Module):
    """K networks code -> hidden -> outputs. Embeddings are codes that are learned too."""

    def __init__(self, codes_KSD: Tensor, layers: Sequence[Tensor], *, activation: str, learn_codes: bool) -> None:
        super().__init__()
        self.codes_KSD = nn.Parameter(codes_KSD, requires_grad=learn_codes)
        self.w1_KDH, self.b1_K1H, self.w2_KHO, self.b2_K1O = (nn.Parameter(layer) for layer in layers)
        self.activation = torch.tanh if activation == "tanh" else torch.relu

    def forward(self, codes_KND: Tensor) -> Tensor:
        """Return the outputs for N codes per network (K, N, O)."""
        hidden_KNH = self.activation(torch.baddbmm(self.b1_K1H, codes_KND, self.w1_KDH))
        return torch.baddbmm(self.b2_K1O, hidden_KNH, self.w2_KHO)

    def everywhere(self) -> Tensor:
        """Return the outputs in every state (K, S, O)."""
        outputs_KSO: Tensor = self(self.codes_KSD)
        return outputs_KSO


def new_policies(lake: Lake, options: LakeOptions, seeds: Sequence[int]) -> Networks:
    """Return one policy per seed, whose outputs are the logits of the actions."""
    return _networks(lake, options, seeds, "policy", len(ACTIONS))


def new_values(lake: Lake, options: LakeOptions, seeds: Sequence[int]) -> Networks:
    """Return PPO's value networks, whose output is the value of a state."""
    return _networks(lake, options, seeds, "value", 1)


def generator_of(seed: int, part: str) -> torch.Generator:
    """Return the random generator of a seed for one part of the work. It does not depend on the other seeds."""
    return torch.Generator().manual_seed(derived_seed("frozen lake", seed, part))


def _networks(lake: Lake, options: LakeOptions, seeds: Sequence[int], part: str, n_outputs: int) -> Networks:
    generators = [generator_of(seed, part) for seed in seeds]
    codes_KSD = _codes(lake, options, generators)
    layers = []
    for n_in, n_out in ((codes_KSD.shape[2], options.hidden), (options.hidden, n_outputs)):
        bound = options.init_scale / n_in**0.5  # that of torch.nn.Linear
        for shape in ((n_in, n_out), (1, n_out)):
            draws = [2 * torch.rand(shape, generator=generator) - 1 for generator in generators]
            layers.append(torch.stack([bound * draw for draw in draws]))
    return Networks(codes_KSD, layers, activation=options.activation, learn_codes=options.coding == "embedding")


def _codes(lake: Lake, options: LakeOptions, generators: Sequence[torch.Generator]) -> Tensor:
    n_states, n_columns = len(lake.acts_S), len(lake.rows[0])
    if options.coding == "embedding":
        shape = (n_states, options.embedding_width)
        return torch.stack([torch.randn(shape, generator=generator) for generator in generators])
    codes_SD = torch.eye(n_states)
    if options.coding == "coordinates":
        places = torch.arange(n_states)
        scaled = (places // n_columns / max(len(lake.rows) - 1, 1), places % n_columns / max(n_columns - 1, 1))
        codes_SD = torch.stack(scaled, 1)
    return codes_SD.repeat(len(generators), 1, 1)
