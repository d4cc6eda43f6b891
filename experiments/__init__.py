"""Claims of the papers, re-run small where the truth is known."""

import console.threads  # noqa: F401  before torch is loaded
