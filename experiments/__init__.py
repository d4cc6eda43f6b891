"""Claims of the papers, re-run small where the truth is known."""

import console.process  # noqa: F401  before torch is loaded
