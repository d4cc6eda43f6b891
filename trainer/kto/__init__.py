"""Kahneman-Tversky optimisation on answers that are good or bad."""
