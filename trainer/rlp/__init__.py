"""Reward learning on policy (arXiv 2403.19279): a reward model retrained on the policy's own answers."""
