"""Readers of labelled sets: each turns the records of one format into labelled pairs or labelled scores."""
