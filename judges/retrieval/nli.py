"""A sequence classifier for natural language inference as the verifier: the passage is the premise."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from console.errors import EngineError, InputError
from engines.models import from_hub, model_digest
from judges.retrieval.corpus import Passage
from judges.retrieval.rows import Verdict
from judges.retrieval.verify import Reading, shown
from records.keys import content_key
from records.rows import Usage

BATCH_SIZE = 16
MAX_TOKENS = 512
FILES = ["*.safetensors", "*.json", "*.txt", "*.model"]
MEANINGS: dict[str, Verdict] = {
    "entailment": "supported", "supports": "supported", "supported": "supported", "support": "supported",
    "contradiction": "refuted", "refutes": "refuted", "refuted": "refuted", "refute": "refuted",
    "neutral": "not enough", "not enough info": "not enough", "not entailment": "not enough", "nei": "not enough",
}  # fmt: skip
"""What the labels of MNLI-, FEVER- and RTE-trained classifiers mean, lower case, with spaces."""


@dataclass(frozen=True)
class NLIVerifier:
    """A classifier that reads passage and claim together; make it with `open_nli`."""

    name: str
    digest: str
    model: Any
    tokenizer: Any
    meanings: tuple[Verdict, ...]
    """What each of the model's outputs means."""

    def read(self, pairs: Sequence[tuple[str, Passage]]) -> Iterator[tuple[int, Reading]]:
        """Yield a reading for each pair, pairs of like length computed together."""
        order = sorted(range(len(pairs)), key=lambda index: len(pairs[index][1].text))
        for start in range(0, len(order), BATCH_SIZE):
            indices = order[start : start + BATCH_SIZE]
            yield from zip(indices, self._batch([pairs[index] for index in indices]), strict=True)

    def _batch(self, pairs: list[tuple[str, Passage]]) -> Iterator[Reading]:
        import torch

        encoded = self.tokenizer(
            [shown(passage) for _, passage in pairs],
            [claim for claim, _ in pairs],
            padding=True,
            truncation="longest_first",  # of the two, the passage is the long one
            max_length=min(MAX_TOKENS, self.tokenizer.model_max_length),
            return_tensors="pt",
        ).to(self.model.device)
        with torch.inference_mode():
            probabilities_BL = self.model(**encoded).logits.float().softmax(-1).tolist()
        n_tokens_B = encoded["attention_mask"].sum(-1).tolist()
        for probabilities, n_tokens in zip(probabilities_BL, n_tokens_B, strict=True):
            by_meaning = dict.fromkeys(("supported", "refuted", "not enough"), 0.0)
            for meaning, probability in zip(self.meanings, probabilities, strict=True):
                by_meaning[meaning] += probability
            yield Reading(by_meaning, 1.0, None, Usage(n_calls=1, n_prompt_tokens=n_tokens))


def open_nli(name: str) -> NLIVerifier:
    """Return the classifier called `name`, a folder or a hub id.

    Raises InputError where there is none or its labels do not say what they mean, EngineError where it cannot be
    loaded.
    """
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = Path(name) if Path(name).is_dir() else from_hub(name, FILES, f"no classifier '{name}': not a folder")
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModelForSequenceClassification.from_pretrained(folder, use_safetensors=True, dtype=torch.float32)
    except (OSError, ValueError, RuntimeError) as error:
        raise EngineError(f"{name}: the classifier cannot be loaded: {' '.join(str(error).split())[:200]}") from None
    labels = [model.config.id2label[index] for index in range(model.config.num_labels)]
    meanings = meanings_of(labels, name)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    digest = content_key("nli", model_digest(folder), labels)
    return NLIVerifier(name, digest, model.eval().to(device), tokenizer, meanings)


def meanings_of(labels: Sequence[str], name: str) -> tuple[Verdict, ...]:
    """Return what each label means; raises InputError where one is unknown or none means support."""
    found = [MEANINGS.get(label.lower().replace("_", " ").replace("-", " ")) for label in labels]
    known = tuple(meaning for meaning in found if meaning)
    if len(known) < len(labels) or "supported" not in known:
        raise InputError(
            f"--nli-model {name}: its labels are {', '.join(labels)}; a classifier is needed whose config names "
            "entailment, contradiction and neutral"
        )
    return known
