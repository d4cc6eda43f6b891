"""The relations that say which answers mean the same, one file for each kind of model."""
