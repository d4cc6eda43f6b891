"""Which row of a table of verdicts is about which labelled row: by keys, by texts, or at last by place."""
