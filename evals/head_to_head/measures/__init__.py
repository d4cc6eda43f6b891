"""The measures of a match, and of all matches together."""
