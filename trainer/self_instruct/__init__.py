"""New prompts from a model's own lists of tasks: few-shot, reading, filters, contamination (Self-Instruct)."""
