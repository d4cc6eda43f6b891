"""Monitors of a run, and the gates that stop it when one leaves its range."""
