"""Flags that define when two answers mean the same."""

from dataclasses import dataclass
from typing import Literal

from console.ranges import Cosine

EquivalenceKind = Literal["embedding", "nli", "judge", "final_answer", "exact"]
NliRule = Literal["strict", "no-contradiction", "greedy"]


@dataclass(frozen=True)
class EquivalenceOptions:
    """The condition under which two answers mean the same."""

    equivalence: EquivalenceKind = "embedding"
    """embedding: close vectors. nli: each entails the other. judge: the judge says so in both orders together.
    final_answer: the same last number or boxed expression. exact: the same words."""
    threshold: Cosine = 0.9
    """The lowest cosine (embedding)."""
    embedding_model: str = "minilm"
    """minilm (the packaged all-MiniLM-L6-v2), a folder or a hub id of a sentence-transformers model."""
    nli_model: str = "microsoft/deberta-large-mnli"
    """A folder or a hub id of a sequence classifier with the labels entailment, neutral and contradiction."""
    nli_rule: NliRule = "strict"
    """strict: both directions entail. no-contradiction: neither direction contradicts. greedy: both directions
    entail, against the first member of each cluster only."""
