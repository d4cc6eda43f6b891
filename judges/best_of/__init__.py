"""Keeping the best of several answers to each prompt."""
