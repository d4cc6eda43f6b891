"""Claims of the papers, run again small, where the truth is known."""
