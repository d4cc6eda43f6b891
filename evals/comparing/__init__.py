"""What evaluations by comparison share: the judge's flags and its gate, the questions, prompts matched by text."""
