"""Intuitive fine-tuning (arXiv 2405.11870): SFT on inputs that are partly the model's own, each token weighed."""

from trainer.ift.propagation import Propagated, Variant, propagate

__all__ = ["Propagated", "Variant", "propagate"]
