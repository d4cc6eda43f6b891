"""Intuitive fine-tuning and DPO against TRL's SFT and DPO: time and memory."""
