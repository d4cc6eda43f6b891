"""Comparing two answers to each prompt."""
