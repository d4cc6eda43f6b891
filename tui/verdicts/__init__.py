"""One verdict in words: its facts, the judge's reasons, what was checked, and how two answers differ. No Textual."""
