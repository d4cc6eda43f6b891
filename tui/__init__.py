"""The screen on which a person reads judged pairs."""

import console.threads  # noqa: F401  before torch is loaded
