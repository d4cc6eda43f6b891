"""A server's reply: its body, stream, tokens, choices and failures, read with forbearance."""
