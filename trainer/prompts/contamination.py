"""Finds evaluation prompts among new ones: the same text, 13 words in a row, or ROUGE-L."""

from collections.abc import Iterable, Sequence

from trainer.prompts.rouge import RougeIndex, tokens_of

N_GRAM = 13
"""Words in a row that two texts hardly share by chance (GPT-3, arXiv 2005.14165, appendix C)."""


class EvaluationPrompts:
    """The prompts that no model may be trained on."""

    def __init__(self, texts: Sequence[str], max_rouge: float) -> None:
        self.texts = texts
        # Backwards, so that of equal texts the first stays.
        self._by_key = {key_of(text): position for position, text in reversed(list(enumerate(texts)))}
        self._index = RougeIndex(max_rouge, texts)
        self._by_gram: dict[tuple[str, ...], int] = {}
        for position, text in enumerate(texts):
            for gram in _grams(text):
                self._by_gram.setdefault(gram, position)

    def found_in(self, text: str) -> tuple[str, str] | None:
        """Return how `text` resembles an evaluation prompt, and that prompt, or None."""
        if (position := self._by_key.get(key_of(text))) is not None:
            return "the same text", self.texts[position]
        for gram in _grams(text):
            if (position := self._by_gram.get(gram)) is not None:
                return f"{N_GRAM} words in a row", self.texts[position]
        if match := self._index.nearest(text):
            return f"ROUGE-L {match.score:.2f}", self.texts[match.position]
        return None


def key_of(text: str) -> str:
    """Return the text without differences of case, spaces and closing punctuation."""
    return " ".join(text.casefold().split()).rstrip(" .!?:;,")


def _grams(text: str) -> Iterable[tuple[str, ...]]:
    tokens = tokens_of(text)
    return zip(*(tokens[start:] for start in range(N_GRAM)), strict=False)  # the shortest of the shifted lists ends it
