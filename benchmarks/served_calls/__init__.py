"""Calls to a server through this project's client, its earlier one and the openai SDK."""
