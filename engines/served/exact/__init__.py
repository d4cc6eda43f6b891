"""The choices' log-probabilities over the whole vocabulary, from a server that reads those of given tokens."""
