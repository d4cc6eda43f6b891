"""Columns of numbers that a training set has beside what TRL's collators know."""

from collections.abc import Callable
from typing import Any

import torch

Collate = Callable[[list[dict[str, Any]]], dict[str, Any]]


def with_columns(collate: Collate, *columns: str) -> Collate:
    """Return a collator that also puts `columns` into the batch, (B,) each."""

    def collated(examples: list[dict[str, Any]]) -> dict[str, Any]:
        return collate(examples) | {name: torch.tensor([example[name] for example in examples]) for name in columns}

    return collated
