"""The filter line: its language, its completion, and the search for a text. Loads no Textual."""
