"""The kinds of rows and the words for their verdicts, each stored as its place here."""

KINDS = ("response", "judgment", "comparison", "pair")
RESPONSE, JUDGMENT, COMPARISON, PAIR = range(4)
WINNERS = ("", "a", "b", "tie")
"""The first is no verdict."""
YES_NO = ("", "no", "yes")
"""The first is unknown."""
