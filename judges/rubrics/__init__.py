"""The project's rubrics: a TOML file each, with its prompt beside it."""
