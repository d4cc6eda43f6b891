"""What every command shares: errors, flags and config files, progress, tables."""
