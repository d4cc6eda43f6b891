"""The rubric as the questions of a decision endpoint."""
