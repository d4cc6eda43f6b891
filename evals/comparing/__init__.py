"""What evaluations by comparison share: the judge's flags and its gate, the questions, and prompts and rows matched."""
