"""Measures a model, a reward model or a judge on what its field measures with."""

import console.process  # noqa: F401  before torch is loaded
