"""A sequence classifier for natural language inference as the verifier: the passage is the premise."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from console.errors import InputError
from engines.classifier import Classifier, find_classifier, load_classifier
from judges.tools.claims.verifier import PassageReading, shown
from judges.tools.rows import Verdict
from judges.tools.search.corpus import Passage
from records.keys import content_key
from records.rows import Usage

BATCH_SIZE = 16
MAX_LENGTH = 512
MEANINGS: dict[str, Verdict] = {
    "entailment": "supported", "supports": "supported", "supported": "supported", "support": "supported",
    "contradiction": "refuted", "refutes": "refuted", "refuted": "refuted", "refute": "refuted",
    "neutral": "not enough", "not enough info": "not enough", "not entailment": "not enough", "nei": "not enough",
}  # fmt: skip
"""Meanings of the labels of MNLI-, FEVER- and RTE-trained classifiers, in lower case with spaces."""


@dataclass(frozen=True)
class NLIVerifier:
    """A classifier that reads passage and claim together. `open_nli` makes it."""

    classifier: Classifier
    meanings: tuple[Verdict, ...]
    """The meaning of each of the classifier's outputs."""
    digest: str

    def read(self, pairs: Sequence[tuple[str, Passage]]) -> Iterator[tuple[int, PassageReading]]:
        """Yield a reading for each pair, pairs of like length computed together."""
        texts = [(shown(passage), claim) for claim, passage in pairs]
        for index, probabilities, n_tokens in self.classifier.probabilities(texts):
            by_meaning = dict.fromkeys(("supported", "refuted", "not enough"), 0.0)
            for meaning, probability in zip(self.meanings, probabilities, strict=True):
                by_meaning[meaning] += probability  # several labels may have one meaning
            # the mass is 1, because a classifier has no other outputs
            yield index, PassageReading(by_meaning, 1.0, None, Usage(n_calls=1, n_prompt_tokens=n_tokens))


def open_nli(name: str) -> NLIVerifier:
    """Return the verifier by the classifier called `name`, a folder or a hub id, loaded.

    Raises InputError if it does not exist or its labels are unclear, EngineError if it cannot be loaded.
    """
    checkpoint = find_classifier(name)
    meanings = meanings_of(checkpoint.labels, name)
    digest = content_key("nli", checkpoint.digest, checkpoint.labels)
    return NLIVerifier(load_classifier(checkpoint, BATCH_SIZE, MAX_LENGTH), meanings, digest)


def meanings_of(labels: Sequence[str], name: str) -> tuple[Verdict, ...]:
    """Return the meaning of each label. Raises InputError if one is unknown or none means support."""
    meanings = [MEANINGS.get(label.lower().replace("_", " ").replace("-", " ")) for label in labels]
    known = tuple(meaning for meaning in meanings if meaning)
    if len(known) < len(labels) or "supported" not in known:
        raise InputError(
            f"--nli-model {name}: its labels are {', '.join(labels)}; a classifier is needed whose config names "
            "entailment, contradiction and neutral"
        )
    return known
