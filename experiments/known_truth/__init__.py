"""The self-rewarding loop in a small world in which a program knows how good an answer is."""
