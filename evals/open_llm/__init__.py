"""The Open LLM Leaderboard's tasks through lm-eval, with data from the hub or from files."""
