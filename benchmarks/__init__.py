"""Speed and memory against peers, side by side; each prints one table."""
