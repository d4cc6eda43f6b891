"""Two answers mean the same if the vectors of 'question answer' are close (sentence-transformers)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.encoder import encoder_digest, load_encoder, resolve_encoder
from judges.cluster.answer_sets import AnswerSet
from judges.cluster.equivalence import BoolNN, FloatNN, Relation, is_whole, relation_id
from judges.cluster.equivalences.sides import sides
from records.keys import content_key, files_digest

SETTINGS = "sentence_*_config.json"
DECIMALS = 6


@dataclass(frozen=True)
class Encoder:
    """A model that turns texts into vectors."""

    encode: Callable[[list[str]], NDArray[np.float32]]
    """Texts to vectors of length one (texts, D)."""
    tokenizer: Any
    max_tokens: int | None
    """The longest text in tokens, without special tokens, or None without a limit."""


@dataclass(frozen=True)
class Embedding:
    """Cosine similarity of sentence embeddings against a threshold."""

    load: Callable[[], Encoder]
    """Called only if there is something to encode."""
    threshold: float
    digest: str
    name: str
    greedy: bool = False

    @property
    def rule(self) -> str:
        """The lowest cosine of equal meaning."""
        return f"cosine >= {self.threshold:g}"

    def relate(self, sets: Sequence[AnswerSet], known: Sequence[Relation | None]) -> Iterator[tuple[int, Relation]]:
        """Yield the cosines between the texts of each set. The texts of all sets are encoded together."""
        if all(is_whole(relation) for relation in known):
            return
        encoder = self.load()
        room = encoder.max_tokens
        read = [sides(encoder.tokenizer, answers, room) for answers in sets]
        vectors_TD = encoder.encode([text for texts, _ in read for text in texts])
        start = 0
        for index, (texts, lengths) in enumerate(read):
            end = start + len(texts)
            if not is_whole(known[index]):
                n_cut = sum(room is not None and length > room for length in lengths)
                yield index, self._relation(sets[index], cosines(vectors_TD[start:end]), n_cut)
            start = end

    def same(self, values_NN: FloatNN) -> BoolNN:
        """Return which texts are at least as close as the threshold."""
        return values_NN >= self.threshold

    def similarity(self, values_NN: FloatNN) -> FloatNN:
        """Return the cosines."""
        return values_NN

    def _relation(self, answers: AnswerSet, values_NN: FloatNN, n_cut: int) -> Relation:
        return Relation(
            id=relation_id(self, answers), prompt_id=answers.prompt_id, values=values_NN.tolist(), n_cut=n_cut
        )


def cosines(vectors_ND: NDArray[np.float32]) -> FloatNN:
    """Return the cosines between vectors of length one (N, N), exactly symmetric, as they are stored."""
    # A matrix product may round its two halves differently.
    products_NN = (vectors_ND @ vectors_ND.T).astype(np.float64)
    return np.round((products_NN + products_NN.T) / 2, DECIMALS)


def open_embedding(name: str, threshold: float, batch_size: int) -> Embedding:
    """Return the relation by the sentence encoder called `name`. Raises InputError if it does not exist."""
    folder = resolve_encoder(name)
    # the encoder's digest leaves out the file with the limit of length
    digest = content_key("embedding", "question answer", encoder_digest(folder), files_digest([*folder.glob(SETTINGS)]))
    return Embedding(cache(lambda: _encoder(str(folder), batch_size)), threshold, digest, f"embedding by {name}")


def _encoder(folder: str, batch_size: int) -> Encoder:
    model = load_encoder(folder)

    def encode(texts: list[str]) -> NDArray[np.float32]:
        vectors: NDArray[np.float32] = model.encode(
            texts, batch_size=batch_size, normalize_embeddings=True, show_progress_bar=False
        )
        return vectors

    longest = model.max_seq_length
    room = None if longest is None else int(longest) - model.tokenizer.num_special_tokens_to_add()
    return Encoder(encode, model.tokenizer, room)
