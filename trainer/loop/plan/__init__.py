"""The estimate of a loop before it starts: calls, tokens, time and memory of each stage."""
