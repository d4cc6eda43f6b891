"""Preference pairs of judged answers: making, filtering and weighing them."""
