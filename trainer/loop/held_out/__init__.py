"""The measurement of an iteration on held-out prompts: its files, its figures and its work."""
