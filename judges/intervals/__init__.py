"""Statistics with intervals: means, bootstrap, agreement."""
