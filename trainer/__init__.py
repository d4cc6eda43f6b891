"""Judged answers -> the next model: seeds, pairs, SFT, DPO, the loop and its ledger."""

import console.process  # noqa: F401  before torch is loaded
