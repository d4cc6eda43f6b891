"""Batch files of a judge's calls (OpenAI's batch format): writing them, reading the answers."""
