"""BM25 over a corpus through bm25s, with the index on disk and memory-mapped."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bm25s
import msgspec

from console.progress import say
from judges.tools.search.corpus import Passage
from judges.tools.search.passages import Passages, once
from records.keys import content_key

STOPWORDS = "en"


@dataclass(frozen=True)
class BM25Search:
    """Finds passages by the words they share with a query (Robertson 1994, in Lucene's variant)."""

    passages: Passages
    index: Any
    digest: str

    def search(self, queries: Sequence[str], k: int) -> list[list[Passage]]:
        """Return up to `k` passages for each query, best first. Passages without a common word are no results."""
        if not queries:
            return []
        words = bm25s.tokenize(list(queries), stopwords=STOPWORDS, return_ids=False, show_progress=False)
        results = self.index.retrieve(words, k=min(k, len(self.passages)), show_progress=False)  # more raises
        return [
            [
                msgspec.structs.replace(passage, score=score)
                for passage, score in zip(self.passages.read(indices), scores, strict=True)
                if score > 0
            ]
            for indices, scores in zip(results.documents.tolist(), results.scores.tolist(), strict=True)
        ]


def open_bm25(passages: Passages) -> BM25Search:
    """Return the BM25 search over `passages`, indexed on first use."""
    folder = passages.folder / "bm25"

    def build(partial: Path) -> None:
        say(f"indexing {len(passages)} passages once, into {folder}")
        index = bm25s.BM25()
        texts = list(passages.texts())
        index.index(bm25s.tokenize(texts, stopwords=STOPWORDS, show_progress=False), show_progress=False)
        index.save(partial, show_progress=False)

    once(folder, build)
    index = bm25s.BM25.load(folder, mmap=True, show_progress=False)
    return BM25Search(passages, index, content_key("bm25", passages.digest))
