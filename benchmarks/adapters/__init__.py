"""Memory and time of training adapters (LoRA) against training all weights."""
