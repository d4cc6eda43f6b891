"""The records of a run: its settings, its ledger, its models, and checks that its files are unchanged."""
