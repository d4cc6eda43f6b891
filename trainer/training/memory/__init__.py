"""Memory and speed of a training: the settings, what they cost by formula, and the choice among them."""
