"""The claims of an answer, and their verdicts from passages."""
