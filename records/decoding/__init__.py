"""The kinds of files: what turns bytes into records."""
