"""Two or more models against each other: answers, comparisons in both orders, win rates and ratings."""
