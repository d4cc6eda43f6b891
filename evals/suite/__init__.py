"""Several evaluations of a model in one command."""
