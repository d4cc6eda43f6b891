"""The interface of a search, the fusion of two searches, and the choice by flags."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from console.errors import InputError
from judges.tools.options import EvidenceOptions, check_options
from judges.tools.search.bm25 import open_bm25
from judges.tools.search.corpus import Passage
from judges.tools.search.dense import open_dense
from judges.tools.search.passages import open_passages
from judges.tools.search.remote import open_function, open_http
from records.keys import content_key

RRF_K = 60
"""The constant of reciprocal rank fusion (Cormack, Clarke and Buettcher 2009)."""
FUSED_DEPTH = 50
"""The depth to which each list is read. Below it, a passage adds less than 1/110."""


class Search(Protocol):
    """Finds passages for a text."""

    @property
    def digest(self) -> str:
        """Identifies the corpus and the way of searching, as a judge's fingerprint carries it."""
        ...

    def search(self, queries: Sequence[str], k: int) -> list[list[Passage]]:
        """Return up to `k` passages for each query, best first. Raises EngineError if the search fails."""
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
        # lists[s][q]: search s, query q
        lists = [search.search(queries, max(k, FUSED_DEPTH)) for search in self.searches]
        return [fuse(ranked)[:k] for ranked in zip(*lists, strict=True)]


def fuse(ranked: Sequence[Sequence[Passage]]) -> list[Passage]:
    """Return the passages of several ranked lists by their fused score. Equal scores keep the first list's order."""
    scores: dict[str, float] = {}
    passages: dict[str, Passage] = {}
    for ranking in ranked:
        for rank, passage in enumerate(ranking, start=1):
            scores[passage.id] = scores.get(passage.id, 0.0) + 1 / (RRF_K + rank)
            passages.setdefault(passage.id, passage)
    best = sorted(scores, key=lambda name: -scores[name])  # stable, so ties keep the first list's order
    return [msgspec.structs.replace(passages[name], score=scores[name]) for name in best]


def open_search(options: EvidenceOptions) -> Search | None:
    """Return the search that `options` name, or None if only arithmetic is checked.

    Raises InputError if a setting or the corpus is wrong, EngineError if a library or model is missing.
    """
    check_options(options)
    if options.search.startswith(("http://", "https://")):
        return open_http(options.search)
    if ":" in options.search:  # after the URLs, which have one too
        return open_function(options.search)
    if options.corpus is None:
        return None
    match options.search:
        case "bm25":
            return open_bm25(open_passages(options.corpus))
        case "dense":
            return open_dense(open_passages(options.corpus), options.encoder)
        case "hybrid":
            passages = open_passages(options.corpus)
            return HybridSearch((open_bm25(passages), open_dense(passages, options.encoder)))
    raise InputError(f"no search '{options.search}'; give bm25, dense, hybrid, a URL, or module:function")
