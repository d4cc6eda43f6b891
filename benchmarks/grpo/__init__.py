"""How far GRPO and RLOO get in a few minutes of one processor core."""
