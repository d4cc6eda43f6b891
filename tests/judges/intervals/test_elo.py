"""Bradley-Terry strengths, beside hand-computed and simulated ones."""

from math import log

import numpy as np
import pytest

from judges.intervals.elo import PRIOR, components, elo


def test_elo_of_two_is_the_log_odds() -> None:
    strengths = elo(np.array([[0.0, 3.0], [1.0, 0.0]]), prior=0.0)
    assert strengths[0] - strengths[1] == pytest.approx(log(3), abs=1e-6) and sum(strengths) == pytest.approx(0)
    weakly = elo(np.array([[0.0, 3.0], [1.0, 0.0]]))
    assert weakly[0] - weakly[1] == pytest.approx(log(3), abs=2e-3)


def test_elo_of_a_circle_is_even_and_of_a_chain_adds_up() -> None:
    circle = elo(np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0]], dtype=float))
    assert circle == pytest.approx([0, 0, 0], abs=1e-9)
    chain = elo(np.array([[0, 2, 0], [1, 0, 2], [0, 1, 0]], dtype=float), prior=0.0)
    assert chain == pytest.approx([log(2), 0, -log(2)], abs=1e-6)


def test_elo_finds_the_strengths_that_a_simulation_was_made_with() -> None:
    draw = np.random.default_rng(5)
    true = draw.normal(size=8)
    true -= true.mean()
    wins_NN = np.zeros((8, 8))
    for m in range(8):
        for n in range(m + 1, 8):
            won = draw.binomial(3000, 1 / (1 + np.exp(true[n] - true[m])))
            wins_NN[m, n], wins_NN[n, m] = won, 3000 - won
    assert np.abs(elo(wins_NN) - true).max() < 0.06


def test_who_never_lost_has_a_finite_strength_and_strangers_are_told_apart() -> None:
    wins_NN = np.zeros((4, 4))
    wins_NN[0, 1] = wins_NN[2, 3] = 1.0
    strengths = elo(wins_NN)
    assert np.isfinite(strengths).all() and strengths[0] > strengths[1] and strengths[2] > strengths[3]
    groups = components(wins_NN)
    assert groups[0] == groups[1] != groups[2] == groups[3]


def test_elo_of_several_sets_of_games_is_that_of_each() -> None:
    wins_BNN = np.random.default_rng(1).poisson(3, size=(6, 4, 4)).astype(float)
    wins_BNN[2] = np.triu(wins_BNN[2])  # each beats all after him, and never loses to them
    assert elo(wins_BNN) == pytest.approx(np.array([elo(wins_NN) for wins_NN in wins_BNN]), abs=1e-9)


def test_the_strengths_of_elo_balance_wins_and_expected_wins() -> None:
    wins_NN = np.random.default_rng(2).poisson(0.3, size=(9, 9)) * (1.0 - np.eye(9))  # few games: long odds
    strengths_N = elo(wins_NN)
    chance_NN = 1 / (1 + np.exp(strengths_N[None, :] - strengths_N[:, None]))
    expected_N = ((wins_NN + wins_NN.T) * chance_NN).sum(axis=1)
    assert wins_NN.sum(axis=1) - expected_N == pytest.approx(PRIOR * strengths_N, abs=1e-8)
