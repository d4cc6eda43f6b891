"""Speed and memory against peers, side by side. Each benchmark prints one table."""

import console.threads  # noqa: F401  before torch is loaded
