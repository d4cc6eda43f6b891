"""The screen on which a person reads judged pairs."""
