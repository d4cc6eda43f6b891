"""A small world in which a program knows how good an answer is, and the self-rewarding loop in it."""
