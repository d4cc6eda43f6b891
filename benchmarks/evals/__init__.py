"""What the evaluations add to the packages that they use."""
