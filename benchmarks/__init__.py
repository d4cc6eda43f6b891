"""Speed and memory against peers, side by side. Each benchmark prints one table."""

import console.process  # noqa: F401  before torch is loaded
