"""What a search is, two searches joined into one, and which one the flags ask for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from console.errors import InputError
from judges.retrieval.options import EvidenceOptions, check_options
from judges.retrieval.search.corpus import Passage
from records.keys import content_key

RRF_K = 60
"""The constant of reciprocal rank fusion (Cormack, Clarke and Buettcher 2009)."""
FUSED_DEPTH = 50
"""How far down each list is looked at; below, a passage adds less than 1/110."""


class Search(Protocol):
    """Something that finds passages for a text."""

    @property
    def digest(self) -> str:
        """Identifies the corpus and the way of searching, as a judge's fingerprint carries it."""
        ...

    def search(self, queries: Sequence[str], k: int) -> list[list[Passage]]:
        """Return up to `k` passages for each query, best first; raises EngineError where the search fails."""
        ...


@dataclass(frozen=True)
class HybridSearch:
    """Joins searches by reciprocal rank fusion: a passage's score is the sum of 1 / (60 + its rank) over the lists."""

    searches: tuple[Search, ...]

    @property
    def digest(self) -> str:
        """Identifies the searches and the way they are joined."""
        return content_key("rrf", RRF_K, FUSED_DEPTH, [search.digest for search in self.searches])

    def search(self, queries: Sequence[str], k: int) -> list[list[Passage]]:
        """Return the `k` passages with the highest fused score for each query."""
        lists = [search.search(queries, max(k, FUSED_DEPTH)) for search in self.searches]
        return [fuse(ranked)[:k] for ranked in zip(*lists, strict=True)]


def fuse(ranked: Sequence[Sequence[Passage]]) -> list[Passage]:
    """Return the passages of several ranked lists by their fused score, the first list's order where it is equal."""
    scores: dict[str, float] = {}
    passages: dict[str, Passage] = {}
    for one in ranked:
        for rank, passage in enumerate(one, start=1):
            scores[passage.id] = scores.get(passage.id, 0.0) + 1 / (RRF_K + rank)
            passages.setdefault(passage.id, passage)
    best = sorted(scores, key=lambda name: -scores[name])
    return [msgspec.structs.replace(passages[name], score=scores[name]) for name in best]


def open_search(options: EvidenceOptions) -> Search | None:
    """Return the search that `options` name, or None where only arithmetic is to be checked.

    Raises InputError where a setting or the corpus is wrong, EngineError where a library or model is missing.
    """
    check_options(options)
    if options.search.startswith(("http://", "https://")):
        from judges.retrieval.search.remote import open_http

        return open_http(options.search)
    if ":" in options.search:
        from judges.retrieval.search.remote import open_function

        return open_function(options.search)
    if options.corpus is None:
        return None
    from judges.retrieval.search.bm25 import open_bm25
    from judges.retrieval.search.dense import open_dense
    from judges.retrieval.search.passages import open_passages

    match options.search:
        case "bm25":
            return open_bm25(open_passages(options.corpus))
        case "dense":
            return open_dense(open_passages(options.corpus), options.encoder)
        case "hybrid":
            passages = open_passages(options.corpus)
            return HybridSearch((open_bm25(passages), open_dense(passages, options.encoder)))
    raise InputError(f"no search '{options.search}'; give bm25, dense, hybrid, a URL, or module:function")
