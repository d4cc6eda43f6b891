"""The judges of a loop: who judges the answers of a round, and their judgments."""
