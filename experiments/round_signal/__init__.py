"""A run's signal, round by round."""
