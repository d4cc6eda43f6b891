"""EFT data: ranked answers turned into examples of judging (Self-Rewarding, section 2.1)."""
