"""Rows of any file that shows answers or verdicts, and where each of them lies. Loads no Textual."""
