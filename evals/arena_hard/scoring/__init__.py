"""The scores of Arena-Hard: battles, the official bootstraps, intervals over prompts, and style control."""
