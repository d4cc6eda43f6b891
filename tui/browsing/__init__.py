"""The state of the screen without the screen: what is shown, in which order, and who votes. Loads no Textual."""
