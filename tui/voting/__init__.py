"""A person's votes: their file, whom they agree with, and what to vote on next. Loads no Textual."""
