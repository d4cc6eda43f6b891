"""Panels: several judges of the same answers, and their agreement."""
