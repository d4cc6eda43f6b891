"""The terminal screen for reading verdicts and overruling them."""

import console.process  # noqa: F401  before torch is loaded
