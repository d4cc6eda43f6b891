"""Where text comes from: one Protocol, and an engine for each place a model can live."""

import console.threads  # noqa: F401  before torch is loaded
