"""Attacks in judged answers, and how often they fool the judge."""
