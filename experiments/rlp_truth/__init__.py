"""Reward learning on policy in a small world in which a program knows how good an answer is."""
