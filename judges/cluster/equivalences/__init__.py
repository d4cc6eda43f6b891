"""Relations that decide which answers mean the same, one file per kind of model."""
