"""A rubric that a model writes and refines from the disagreements of a judge with labels."""
