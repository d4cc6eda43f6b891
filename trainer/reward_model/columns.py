"""The columns that a reward model's training set may have beside its texts."""

WEIGHT, MARGIN = "pair_weight", "margin"
"""A pair's weight and its margin, both numbers."""
VIEWS = "views"
"""A list of view pairs, as tokens."""
