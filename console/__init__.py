"""The parts that every command shares: errors, flags and config files, progress, tables."""

import console.process  # noqa: F401  before torch is loaded
