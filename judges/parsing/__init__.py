"""From a judge's reply to a verdict: plain text, the places that give a verdict, and what speaks against them."""
