"""PPO against TRL's: time and memory."""
