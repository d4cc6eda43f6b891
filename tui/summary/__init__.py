"""The rows in sum: sorted, counted, drawn as bars, and exported. Loads no Textual."""
