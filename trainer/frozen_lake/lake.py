"""The lake: gymnasium's Frozen Lake on a map file, its best policy, and the two trajectories of the file.

Shapes: S states (row * columns + column), A = 4 actions (left, down, right, up).
"""

import os
from dataclasses import dataclass
from pathlib import Path

import msgspec
import torch
from gymnasium.envs.toy_text.frozen_lake import FrozenLakeEnv
from torch import Tensor

from console.errors import InputError
from console.reading import read_toml
from trainer.frozen_lake.options import LakeOptions

MAPS = Path(__file__).parent / "maps"
ACTIONS = ("left", "down", "right", "up")
TIE = 1e-6
"""Actions whose values differ by less are equally good. Saving one move is worth more than that."""


class MapFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A map of S start, F frozen, H hole, G goal, and two trajectories: moves from S, separated by blanks."""

    rows: tuple[str, ...]
    positive: str
    negative: str


@dataclass(frozen=True)
class Trajectory:
    """The states of a game and the action in each. The last action ends the game."""

    states: tuple[int, ...]
    actions: tuple[int, ...]


@dataclass(frozen=True)
class Lake:
    """The lake as a Markov decision process with a known model."""

    rows: tuple[str, ...]
    moves_SA: Tensor  # noqa: N815
    """The state that each action aims at, even if the ice may slip."""
    chances_SAS: Tensor  # noqa: N815
    rewards_SA: Tensor  # noqa: N815
    """The expected reward of an action: its chance of reaching the goal."""
    values_SA: Tensor  # noqa: N815
    """The value of an action if the best actions follow."""
    target_SA: Tensor  # noqa: N815
    """The best policy. In holes and the goal it is uniform."""
    acts_S: Tensor  # noqa: N815
    """True for the states in which the game continues."""
    positive: Trajectory
    negative: Trajectory

    @property
    def start(self) -> int:
        """The state that a game begins in."""
        return "".join(self.rows).index("S")

    @property
    def goal(self) -> int:
        """The state with the reward."""
        return "".join(self.rows).index("G")


def open_lake(options: LakeOptions) -> Lake:
    """Return the lake that the options name.

    Raises InputError for a map that is missing or malformed and for a trajectory that breaks the game's rules. If the
    ice does not slip, it also raises for a positive trajectory that is not a best one or a negative one that is.
    """
    table, source = _read(options.map)
    chances_SAS, rewards_SA = _model(table.rows, options.slippery)
    sure_SAS, _ = _model(table.rows, slippery=False)
    moves_SA = sure_SAS.argmax(2)
    acts_S = torch.tensor([cell in "SF" for cell in "".join(table.rows)])
    values_SA = action_values(chances_SAS, rewards_SA, acts_S, options.discount)
    target_SA = greedy_policy(values_SA, acts_S, options.ties)
    start = "".join(table.rows).index("S")
    positive, negative = (_walk(text, start, moves_SA, acts_S, source) for text in (table.positive, table.negative))
    if not options.slippery:
        best_SA = greedy_policy(values_SA, acts_S, "split")
        if not _follows(positive, best_SA):
            raise InputError(f"{source}: the positive trajectory is not a best one")
        if _follows(negative, best_SA):
            raise InputError(f"{source}: the negative trajectory is as good as the positive one")
    return Lake(table.rows, moves_SA, chances_SAS, rewards_SA, values_SA, target_SA, acts_S, positive, negative)


def action_values(chances_SAS: Tensor, rewards_SA: Tensor, acts_S: Tensor, discount: float) -> Tensor:
    """Return the best discounted return after each action by value iteration, 0 in holes and the goal (S, A)."""
    values_SA = torch.zeros_like(rewards_SA)
    while True:
        best_S = torch.where(acts_S, values_SA.amax(1), 0)
        newer_SA = torch.where(acts_S[:, None], rewards_SA + discount * chances_SAS @ best_S, 0)
        if torch.equal(newer_SA, values_SA) or (newer_SA - values_SA).abs().max() < 1e-12:
            return newer_SA
        values_SA = newer_SA


def greedy_policy(values_SA: Tensor, acts_S: Tensor, ties: str) -> Tensor:
    """Return the policy that takes the best action, or several equally often (`split`), or the first of several."""
    best_SA = (values_SA >= values_SA.amax(1, keepdim=True) - TIE).to(values_SA.dtype)
    if ties == "first":
        first_SA = (best_SA.cumsum(1) == 1) & (best_SA == 1)  # the sum is 1 from the first best action to the next
        best_SA = torch.where(acts_S[:, None], first_SA.to(best_SA.dtype), best_SA)
    return best_SA / best_SA.sum(1, keepdim=True)


def _read(name: str) -> tuple[MapFile, str]:
    packaged = MAPS / f"{name}.toml"
    path = packaged if packaged.exists() else Path(name)
    if not os.path.lexists(path):
        known = ", ".join(sorted(file.stem for file in MAPS.glob("*.toml")))
        raise InputError(f"no map '{name}'; use {known}, or a TOML file of the same form")
    try:
        table = msgspec.convert(read_toml(path), MapFile)
    except msgspec.ValidationError as error:
        raise InputError(f"{path}: {error}; see {MAPS}") from None
    cells = "".join(table.rows)
    if set(cells) - set("SFHG") or len({len(row) for row in table.rows}) != 1:
        raise InputError(f"{path}: rows must be equally long and consist of S, F, H and G")
    if cells.count("S") != 1 or cells.count("G") != 1:
        raise InputError(f"{path}: a map must have exactly one S and one G")
    return table, str(path)


def _model(rows: tuple[str, ...], slippery: bool) -> tuple[Tensor, Tensor]:
    """Return gymnasium's chance of each next state (S, A, S) and expected reward (S, A)."""
    model = FrozenLakeEnv(desc=list(rows), is_slippery=slippery).P
    chances_SAS = torch.zeros(len(model), len(ACTIONS), len(model), dtype=torch.float64)
    rewards_SA = torch.zeros(len(model), len(ACTIONS), dtype=torch.float64)
    for state, actions in model.items():
        for action, outcomes in actions.items():
            for chance, following, reward, _ in outcomes:
                chances_SAS[state, action, following] += chance  # on ice that slips, two outcomes may lead to one state
                rewards_SA[state, action] += chance * reward
    return chances_SAS, rewards_SA


def _walk(text: str, start: int, moves_SA: Tensor, acts_S: Tensor, source: str) -> Trajectory:
    if not text.split() or not set(text.split()) <= set(ACTIONS):
        raise InputError(f"{source}: '{text}' is not a list of moves; the moves are {', '.join(ACTIONS)}")
    states, actions = [start], [ACTIONS.index(word) for word in text.split()]
    for action in actions:
        if not acts_S[states[-1]]:
            raise InputError(f"{source}: '{text}' goes on after the game's end in state {states[-1]}")
        states.append(int(moves_SA[states[-1], action]))
    if acts_S[states[-1]]:
        raise InputError(f"{source}: '{text}' stops in state {states[-1]}, before the game's end")
    return Trajectory(tuple(states[:-1]), tuple(actions))


def _follows(trajectory: Trajectory, policy_SA: Tensor) -> bool:
    return all(
        policy_SA[state, action] > 0 for state, action in zip(trajectory.states, trajectory.actions, strict=True)
    )
