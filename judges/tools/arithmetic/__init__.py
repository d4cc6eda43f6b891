"""The arithmetic tool: checks the equations of an answer, and its result against a reference."""
