"""What the fields of other people's records mean: messages, prompts, two sides, labels, numbers."""
