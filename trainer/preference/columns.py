"""The columns that the training set of a preference training may have beside its texts."""

REFERENCE = ("ref_chosen_logps", "ref_rejected_logps")
"""TRL's columns of the reference model's log-probabilities of both answers."""
WEIGHT, LABEL = "pair_weight", "pair_label"
"""A pair's weight and the probability that its label is right. A training set has both columns or neither."""
