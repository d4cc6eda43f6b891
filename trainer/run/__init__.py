"""The records of a run: its settings, its ledger, and checks that its files are unchanged."""
