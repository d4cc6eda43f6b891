"""Scoring a file of responses."""
