"""Direct preference optimisation on pairs."""
