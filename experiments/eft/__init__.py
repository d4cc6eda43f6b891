"""The effect of learning to judge (EFT) on a small model as a judge."""
