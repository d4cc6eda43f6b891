"""Judging with tools: search over a corpus for an answer's claims, and a check of its arithmetic."""
