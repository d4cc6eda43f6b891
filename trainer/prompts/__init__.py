"""New prompts from a model's own lists of tasks: few-shot, filters, contamination (Self-Instruct)."""
