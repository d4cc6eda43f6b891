"""Intuitive fine-tuning (arXiv 2405.11870): SFT with the model's own predictions in its inputs, and weighed tokens."""
