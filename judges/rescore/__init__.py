"""Stored replies, read again with another parser, rubric or aggregation."""
