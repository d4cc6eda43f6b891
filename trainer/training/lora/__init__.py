"""Adapters (LoRA): the model that learns one, and the folder that it is saved to."""
