"""The transformers engine against other ways of asking the same model the same prompts."""
