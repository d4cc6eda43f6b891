"""Intuitive fine-tuning beside SFT, DPO and ORPO, with a small model."""
