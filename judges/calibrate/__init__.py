"""Audit of a judge against human labels."""
