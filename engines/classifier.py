"""A classifier for natural language inference, from a premise and a hypothesis to the relation between them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from console.errors import EngineError, InputError
from engines.chat.neutral import neutralise
from engines.chat.template import special_tokens
from engines.files import from_hub
from engines.models import model_digest

USUAL_TOKENS = 512
"""The context of a model whose config does not state it."""


@dataclass(frozen=True)
class Checkpoint:
    """A classifier whose files are there but not loaded. Find it with `find_classifier`."""

    name: str
    """A folder or a hub id."""
    labels: tuple[str, ...]
    """The names of its outputs, in their order, as its config has them."""
    digest: str
    """Identifies the weights: their content, or the hub's commit."""


class Classified(NamedTuple):
    """The labels of one pair of texts."""

    place: int
    """The position of the pair in the list that was given."""
    probabilities: list[float]
    """One per label."""
    n_tokens: int


@dataclass(frozen=True)
class Classifier:
    """A loaded classifier. Make it with `load_classifier`."""

    model: Any
    tokenizer: Any
    batch_size: int
    max_length: int
    """The most tokens of a premise and a hypothesis together, with special tokens. A longer pair is truncated."""

    @property
    def max_tokens(self) -> int:
        """The same without special tokens."""
        return self.max_length - int(self.tokenizer.num_special_tokens_to_add(pair=True))

    def probabilities(self, pairs: Sequence[tuple[str, str]]) -> Iterator[Classified]:
        """Yield the labels of each pair, in batches of like length."""
        # By characters, which is close to the order by tokens. The longest first, so that memory runs out at once.
        order = sorted(range(len(pairs)), key=lambda index: -sum(map(len, pairs[index])))
        for start in range(0, len(order), self.batch_size):
            indices = order[start : start + self.batch_size]
            yield from self._batch(indices, [pairs[index] for index in indices])

    def _batch(self, indices: list[int], pairs: list[tuple[str, str]]) -> Iterator[Classified]:
        import torch  # here, because finding a classifier for a plan needs no torch

        special = special_tokens(self.tokenizer)
        encoded = self.tokenizer(
            [neutralise(premise, special) for premise, _ in pairs],
            [neutralise(hypothesis, special) for _, hypothesis in pairs],
            truncation="longest_first",  # from the end of whichever is longer
            max_length=self.max_length,
            padding=True,
            return_tensors="pt",
        ).to(self.model.device)
        with torch.inference_mode():
            probabilities_BL = self.model(**encoded).logits.float().softmax(-1)
        n_tokens_B = encoded["attention_mask"].sum(-1)
        return map(Classified, indices, probabilities_BL.tolist(), n_tokens_B.tolist())


def find_classifier(name: str) -> Checkpoint:
    """Return the classifier called `name`, a folder or a hub id, with nothing of it loaded but its config.

    Raises InputError if there is none.
    """
    from transformers import AutoConfig

    is_folder = Path(name).is_dir()
    folder = Path(name) if is_folder else from_hub(name, ["config.json"], f"no NLI model '{name}': not a folder")
    try:
        config = AutoConfig.from_pretrained(folder)
        labels = tuple(str(config.id2label[index]) for index in range(config.num_labels))
    except Exception as error:  # the library raises many types, each because this is no classifier
        raise InputError(f"{name}: not an NLI model: its config cannot be read: {_reason(error)}") from None
    # The hub's snapshots are named after their commits.
    return Checkpoint(name, labels, model_digest(folder) if is_folder else folder.name)


def load_classifier(checkpoint: Checkpoint, batch_size: int, max_length: int | None = None) -> Classifier:
    """Return the classifier, ready to use, for at most `max_length` tokens or its model's context.

    Raises EngineError if it cannot be loaded.
    """
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    # Safetensors only: a pickle could run code. By name, not by folder: for a hub model that has none the library
    # looks for the hub's own conversion.
    settings = {"use_safetensors": True, "dtype": torch.float32}
    try:
        tokenizer = AutoTokenizer.from_pretrained(checkpoint.name)
        model = AutoModelForSequenceClassification.from_pretrained(checkpoint.name, **settings)
    except Exception as error:  # many types again: files that are missing, broken or of another model
        problem = f"the NLI model cannot be loaded (safetensors only): {_reason(error)}"
        raise EngineError(f"{checkpoint.name}: {problem}") from None
    longest = _longest(model.config, tokenizer)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return Classifier(model.eval().to(device), tokenizer, batch_size, min(longest, max_length or longest))


def _longest(config: Any, tokenizer: Any) -> int:
    positions: int = getattr(config, "max_position_embeddings", None) or USUAL_TOKENS
    if "roberta" in config.model_type:
        positions -= config.pad_token_id + 1  # its positions are counted from there
    return min(positions, int(tokenizer.model_max_length))


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
