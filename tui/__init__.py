"""The terminal screen for reading judged pairs."""

import console.threads  # noqa: F401  before torch is loaded
