"""The engines in this process on the same prompts."""
