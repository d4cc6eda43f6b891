"""Judging with tools: search over a corpus for an answer's claims, and checks of its arithmetic and its form."""
