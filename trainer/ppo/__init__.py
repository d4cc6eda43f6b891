"""Proximal policy optimisation of a language model against a reward (Schulman et al., 2017; Ziegler et al., 2019)."""
