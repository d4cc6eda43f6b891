"""Bradley-Terry strengths from pairwise wins, by maximum likelihood, on the scale of Elo."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from scipy.special import expit

PRIOR = 1e-3
"""The precision of a normal prior on each strength. One game outweighs it, yet it keeps the strengths finite of players
that never lost and of players that never met, directly or through others."""
MOST_STEPS = 200
TOLERANCE = 1e-10
"""The step after which the strengths count as found."""


def elo(wins_BNN: NDArray[np.float64], prior: float = PRIOR) -> NDArray[np.float64]:
    """Return the strengths e, (N,), that maximise sum_mn wins_mn log sigmoid(e_m - e_n) - prior/2 sum_n e_n^2.

    wins_mn is the number or weight of wins of m over n. A tie is half a win for both. The difference of two strengths
    is the log-odds that one beats the other (400 / ln 10 times as much on the scale of chess). Their sum is 0.
    Strengths do not compare between players that no chain of games connects: see `components`.

    For several sets of games, (B, N, N), it returns the strengths of each, (B, N).
    """
    own_NN = np.eye(np.shape(wins_BNN)[-1])
    wins_BNN = np.asarray(wins_BNN, dtype=float) * (1 - own_NN)  # nobody plays against himself
    games_BNN = wins_BNN + wins_BNN.swapaxes(-1, -2)
    strengths_BN = np.zeros(wins_BNN.shape[:-1])
    for _ in range(MOST_STEPS):
        chance_BNN = expit(strengths_BN[..., :, None] - strengths_BN[..., None, :])
        gradient_BN = (wins_BNN - games_BNN * chance_BNN).sum(axis=-1) - prior * strengths_BN
        curvature_BNN = games_BNN * chance_BNN * (1 - chance_BNN)
        # One more curvature along (1, ..., 1), where there is none but the prior's: no step goes that way.
        hessian_BNN = (curvature_BNN.sum(axis=-1) + prior)[..., None] * own_NN - curvature_BNN + 1 / len(own_NN)
        step_BN = np.linalg.solve(hessian_BNN, gradient_BN[..., None])[..., 0]
        # Newton's step goes too far where the odds are long, so it is cut to a unit of strength.
        longest_B1 = np.abs(step_BN).max(axis=-1, keepdims=True)
        strengths_BN += step_BN / np.maximum(longest_B1, 1.0)
        if longest_B1.max() < TOLERANCE:
            break
    centred_BN: NDArray[np.float64] = strengths_BN - strengths_BN.mean(axis=-1, keepdims=True)
    return centred_BN


def components(wins_NN: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return each player's group number, (N,). Chains of games connect all players of a group."""
    met_NN = csr_array((np.asarray(wins_NN) > 0).astype(int))
    groups_N: NDArray[np.int64] = connected_components(met_NN, directed=False)[1].astype(np.int64)
    return groups_N
