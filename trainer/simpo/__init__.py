"""Simple preference optimisation on pairs."""
