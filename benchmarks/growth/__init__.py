"""Time and memory of commands over the number of rows."""
