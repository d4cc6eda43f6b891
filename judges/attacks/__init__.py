"""Answers that speak to the judge, and how often they fool it."""
