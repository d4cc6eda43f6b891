"""The meanings of fields in other people's records: messages, prompts, two sides, labels, numbers."""
