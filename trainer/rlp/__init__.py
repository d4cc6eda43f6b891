"""Reward learning on policy (arXiv 2403.19279): a reward model that has seen what the policy writes."""
