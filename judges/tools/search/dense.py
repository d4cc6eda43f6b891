"""Search by meaning: finds the stored passage embeddings nearest in direction to that of a query."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from console.progress import progress
from console.writing import make_folder
from engines.encoder import encoder_digest, load_encoder, resolve_encoder
from judges.tools.search.corpus import Passage
from judges.tools.search.passages import Passages, load_array
from records.keys import content_key
from records.store import write_atomic

SHARD_PASSAGES = 1024
BATCH_SIZE = 32


@dataclass(frozen=True)
class DenseSearch:
    """Finds passages by the cosine of their embedding with the query's."""

    passages: Passages
    encoder: Any
    shards: list[NDArray[np.float16]]
    """Unit vectors, (passages, dimensions) each, memory-mapped."""
    digest: str

    def search(self, queries: Sequence[str], k: int) -> list[list[Passage]]:
        """Return the `k` nearest passages for each query, nearest first."""
        if not queries:
            return []
        # letters after the underscore are axes: queries, dimensions, passages of a shard, the k best so far
        queries_QD = _encode(self.encoder, list(queries))
        scores_QK = np.empty((len(queries), 0), dtype=np.float32)
        indices_QK = np.empty((len(queries), 0), dtype=np.int64)
        start = 0
        for shard_PD in self.shards:  # one shard's vectors are in memory at a time
            scores_QP = queries_QD @ shard_PD.astype(np.float32).T
            here_QP = np.broadcast_to(np.arange(start, start + len(shard_PD)), scores_QP.shape)
            scores_QK = np.concatenate([scores_QK, scores_QP], axis=1)
            indices_QK = np.concatenate([indices_QK, here_QP], axis=1)
            best_QK = np.argsort(-scores_QK, axis=1, kind="stable")[:, :k]  # equal scores keep the corpus's order
            scores_QK = np.take_along_axis(scores_QK, best_QK, axis=1)
            indices_QK = np.take_along_axis(indices_QK, best_QK, axis=1)
            start += len(shard_PD)
        return [
            [
                msgspec.structs.replace(passage, score=score)
                for passage, score in zip(self.passages.read(indices), scores, strict=True)
            ]
            for indices, scores in zip(indices_QK.tolist(), scores_QK.tolist(), strict=True)
        ]


def open_dense(passages: Passages, encoder_name: str) -> DenseSearch:
    """Return the dense search over `passages`. Missing embeddings are computed shard by shard, into the cache.

    Raises InputError if the encoder does not exist, EngineError if it cannot be loaded.
    """
    folder = resolve_encoder(encoder_name)
    encoder = load_encoder(encoder_name)
    model = encoder_digest(folder)
    shards = _shards(passages, encoder, passages.folder / f"dense-{model}")
    return DenseSearch(passages, encoder, shards, content_key("dense", passages.digest, model))


def _shards(passages: Passages, encoder: Any, folder: Path) -> list[NDArray[np.float16]]:
    make_folder(folder)
    paths = [folder / f"{start:09d}.npy" for start in range(0, len(passages), SHARD_PASSAGES)]
    n_done = sum(path.exists() for path in paths)
    if n_done < len(paths):
        texts = passages.texts()
        with progress("embedding the corpus, shards", len(paths), n_done) as advance:
            for path in paths:
                batch = list(islice(texts, SHARD_PASSAGES))  # read even if done, to reach the next shard's texts
                if not path.exists():
                    _save(path, _encode(encoder, batch).astype(np.float16))  # half the disk; products are float32
                    advance(1)
    return [load_array(path) for path in paths]


def _save(path: Path, array: NDArray[Any]) -> None:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    # whole or not at all, because an interrupted run takes every file that exists as done
    write_atomic(path, buffer.getvalue())


def _encode(encoder: Any, texts: list[str]) -> NDArray[np.float32]:
    vectors: NDArray[np.float32] = encoder.encode(
        texts, batch_size=BATCH_SIZE, normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False
    )
    return vectors
