"""The judge as a server: scores, comparisons, rewards and decisions over HTTP."""
