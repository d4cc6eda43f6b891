"""The world of known truth: its prompts, its models and their sizes."""
