"""The numbers that the commands of evals have left in a run's evals/."""
