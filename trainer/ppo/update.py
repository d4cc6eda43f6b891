"""Learns from the answers of a step: optimiser steps, spread over the processes."""

import math
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from records.keys import derived_seed
from trainer.ppo.actor import padded
from trainer.ppo.losses import approx_kl, explained_variance, masked_mean, policy_loss, value_loss
from trainer.ppo.options import PPOOptions
from trainer.ppo.rollout import Experience
from trainer.training.memory.float32 import Float32Weights
from trainer.training.processes import is_sharded
from trainer.training.sharding import whole

FIGURES = ("policy_loss", "value_loss", "entropy", "approx_kl", "clip_fraction")


@dataclass(frozen=True)
class Learner:
    """The policy with its value model, and their optimiser."""

    model: nn.Module
    """An ActorCritic, wrapped by accelerate or sharded."""
    optimiser: torch.optim.Optimizer
    accelerator: Accelerator
    options: PPOOptions
    filler: int
    """The token that rows are padded with."""
    kept: Float32Weights | None = None
    """The float32 copies of bfloat16 weights."""

    def learn(self, experience: Experience, rate: float, seed: int) -> dict[str, float | None]:
        """Learn from the answers of a step in a seeded order, and return its figures averaged over the updates.

        Raises FloatingPointError if a loss, a gradient or a weight is not a number. The weights are lost only if it was
        a weight.
        """
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        n_parts = self.options.rollout_batch_size // self.options.step_batch_size
        updates: list[Tensor] = []
        for epoch in range(self.options.ppo_epochs):
            order = seeded_order(len(experience.answers), seed, epoch)  # the same on every process
            updates += [self._update(experience, part) for part in order.tensor_split(n_parts) if len(part)]
        n_bad = sum(int((~_part(weight).isfinite()).sum()) for weight in self.model.parameters())
        if self.accelerator.reduce(torch.tensor(float(n_bad), device=self.accelerator.device), "sum") > 0:
            raise FloatingPointError("a weight is not a number")
        figures: dict[str, float | None] = dict(zip(FIGURES, torch.stack(updates).mean(0).tolist(), strict=True))
        explained = explained_variance(experience.values, experience.returns, experience.mask)
        return figures | {"explained_variance": explained}

    def _update(self, experience: Experience, part: Tensor) -> Tensor:
        """Take one optimiser step on the answers `part` and return the FIGURES."""
        n_tokens, world = int(experience.mask[part].sum()), self.accelerator.num_processes
        own = alike_together(experience, part[self.accelerator.process_index :: world])
        share = torch.split(own, self.options.micro_batch_size)
        pieces = [(piece, 1.0) for piece in share if len(piece)]
        # a process with fewer takes an answer with weight 0, because the others wait for its weights and its gradient
        n_pieces = math.ceil(math.ceil(len(part) / world) / self.options.micro_batch_size)
        pieces += [(part[:1], 0.0)] * (n_pieces - len(pieces))
        total = torch.zeros(len(FIGURES), device=self.accelerator.device)
        for number, (piece, weight) in enumerate(pieces, start=1):
            waits = number < len(pieces) and not is_sharded()
            with self.accelerator.no_sync(self.model) if waits else nullcontext():
                figures = weight * self._figures(experience, piece, n_tokens)
                # accelerate takes the mean of the processes' gradients
                self.accelerator.backward((figures[0] + self.options.vf_coef * figures[1]) * world)
                total += figures.detach()
        # the norm before clipping: it is not finite if any gradient is not
        norm = float(whole(nn.utils.clip_grad_norm_(self.model.parameters(), self.options.max_grad_norm)))
        total = torch.as_tensor(self.accelerator.reduce(total, "sum"))
        if not (math.isfinite(norm) and bool(total.isfinite().all())):
            raise FloatingPointError(f"the loss is {float(total[0]):g} and its gradient {norm:g}")
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        return total

    def _figures(self, experience: Experience, piece: Tensor, n_tokens: int) -> Tensor:
        """Return the contribution of the answers `piece` to the FIGURES of an update on `n_tokens`."""
        answers = [experience.answers[index] for index in piece.tolist()]
        tokens = padded([(answer.prompt, answer.tokens) for answer in answers], self.filler, self.accelerator.device)
        columns = (experience.logprobs, experience.values, experience.advantages, experience.returns)
        width = tokens.mask.shape[1]
        old_BT, old_values_BT, advantages_BT, returns_BT = (
            # The answers of a piece may all be shorter than the longest one of the step.
            column_NT[piece.to(column_NT.device), :width]
            for column_NT in columns
        )
        logprobs_BT, entropy_BT, values_BT = self.model(tokens)
        policy_BT, clipped_BT = policy_loss(logprobs_BT, old_BT, advantages_BT, self.options.cliprange)
        value_BT = value_loss(values_BT, old_values_BT, returns_BT, self.options.cliprange_value)
        moved_BT = approx_kl(logprobs_BT.detach(), old_BT)
        figures = (policy_BT, value_BT, entropy_BT, moved_BT, clipped_BT.float())
        return torch.stack([masked_mean(figure_BT, tokens.mask, n_tokens) for figure_BT in figures])


def _part(weight: Tensor) -> Tensor:
    """Return the part of a weight that this process holds."""
    return weight.to_local() if isinstance(weight, DTensor) else weight


def alike_together(experience: Experience, part: Tensor) -> Tensor:
    """Return the positions `part` in the order of the lengths of answer and prompt.

    A piece is padded to its longest answer and its longest prompt, and the gradient is a sum over answers in any order.
    """
    lengths = [(len(answer.tokens), len(answer.prompt)) for answer in experience.answers]
    return torch.tensor(sorted(part.tolist(), key=lambda place: lengths[place]), dtype=part.dtype)


def seeded_order(n: int, *parts: object) -> Tensor:
    """Return the positions 0 to n - 1 in an order that is seeded by `parts`."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(derived_seed(*parts)))
