"""Judged answers -> the next model: seeds, pairs, SFT, DPO, the loop and its ledger."""
