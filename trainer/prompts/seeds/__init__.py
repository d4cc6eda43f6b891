"""The packaged seeds: prompts, conversations and ranked answers."""
