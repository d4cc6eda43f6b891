"""The tokens of a model that spell the choices after a prompt, and the choices' log-probabilities from theirs."""
