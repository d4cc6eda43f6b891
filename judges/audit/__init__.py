"""The audit of a judge: how far it agrees with given labels, in which ways it is biased, and what it must beat."""
