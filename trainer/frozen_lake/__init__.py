"""The Frozen Lake comparison of Intuitive Fine-Tuning with SFT, ORPO, DPO and PPO (arXiv 2405.11870, section 5.3)."""
