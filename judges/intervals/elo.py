"""Bradley-Terry strengths from pairwise wins, by maximum likelihood, on the scale of Elo."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from scipy.special import expit, log_expit

PRIOR = 1e-3
"""The precision of a normal prior on each strength. One game outweighs it, yet it keeps the strengths finite of players
that never lost and of players that never met, directly or through others."""


def elo(wins_NN: NDArray[np.float64], prior: float = PRIOR) -> NDArray[np.float64]:
    """Return the strengths e, (N,), that maximise sum_mn wins_mn log sigmoid(e_m - e_n) - prior/2 sum_n e_n^2.

    wins_mn is the number or weight of wins of m over n. A tie is half a win for both. The difference of two strengths
    is the log-odds that one beats the other (400 / ln 10 times as much on the scale of chess). Their sum is 0.
    Strengths do not compare between players that no chain of games connects: see `components`.
    """
    wins_NN = np.asarray(wins_NN, dtype=float) * (1 - np.eye(len(wins_NN)))  # nobody plays against himself

    def loss(e_N: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        ahead_NN = e_N[:, None] - e_N[None, :]
        # A win w of m over n pulls e_m up and e_n down by w sigmoid(e_n - e_m).
        surprise_NN = wins_NN * expit(-ahead_NN)
        gradient_N = surprise_NN.sum(axis=0) - surprise_NN.sum(axis=1) + prior * e_N
        return float(-(wins_NN * log_expit(ahead_NN)).sum() + prior / 2 * (e_N**2).sum()), gradient_N

    solution = minimize(
        loss, np.zeros(len(wins_NN)), jac=True, method="L-BFGS-B", options={"ftol": 1e-14, "gtol": 1e-9}
    )
    strengths_N: NDArray[np.float64] = solution.x - solution.x.mean()
    return strengths_N


def components(wins_NN: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return each player's group number, (N,). Chains of games connect all players of a group."""
    met_NN = csr_array((np.asarray(wins_NN) > 0).astype(int))
    groups_N: NDArray[np.int64] = connected_components(met_NN, directed=False)[1].astype(np.int64)
    return groups_N
