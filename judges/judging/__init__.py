"""The judge itself: it asks an engine with a rubric, for one answer or for two, and stores each verdict."""
