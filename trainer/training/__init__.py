"""What every training shares: settings, processes, checkpoints, and the fit itself."""
