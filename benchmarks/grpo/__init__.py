"""The share of held-out answers that follow a constraint, before and after a few minutes of GRPO and RLOO."""
