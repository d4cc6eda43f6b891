"""The alpaca-eval package's own annotators, asked of any OpenAI-compatible server."""
