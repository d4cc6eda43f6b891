"""AlpacaEval: answers, judging, win rates, and the package's file formats."""
