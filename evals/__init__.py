"""Measures a model, a reward model or a judge on what its field measures with."""
