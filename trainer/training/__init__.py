"""The shared machinery of all trainings: settings, processes, checkpoints, saved states, and the fit itself."""
