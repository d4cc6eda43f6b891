"""What is known of a run, read from its files."""
