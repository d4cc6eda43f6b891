"""Labelled sets: answers with the labels, ranks or scores that people gave."""
