"""The audit of a judge: agreement with given labels, biases, and the baselines it must beat."""
