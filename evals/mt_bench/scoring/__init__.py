"""Scores by turn and category, and win rates, as FastChat has them, with intervals over questions."""
