"""The choice that a served reply names: its place in the text, its tokens, its log-probabilities."""
