"""The relations that say which answers mean the same, one file per kind of model."""
