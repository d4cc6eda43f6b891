"""Readers of labelled sets, which turn the records of a format into labelled pairs or scores."""
