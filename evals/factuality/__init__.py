"""Measures how many of a model's claims a corpus supports."""
