"""Parsing of a judge's reply: plain text, the places that give a verdict, and the signs against them."""
