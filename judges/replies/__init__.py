"""How a judge's reply is read: its text made plain, the verdicts in it, and what speaks against them."""
