"""Engines, the sources of text: one Protocol, and an engine per place of a model: this process or a server."""

import console.process  # noqa: F401  before torch is loaded
