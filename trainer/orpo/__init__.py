"""Odds ratio preference optimisation on pairs."""
