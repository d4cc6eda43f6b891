"""Which model people prefer, and how far the judge says the same."""
