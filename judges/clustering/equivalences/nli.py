"""Two answers mean the same where each entails the other, by a model of natural language inference.

Semantic uncertainty (Kuhn et al. 2023, arXiv 2302.09664, section 3.2), as RLP-SPG uses it (arXiv 2403.19279,
section 3.3). A side is 'question answer'.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from console.errors import EngineError, InputError
from judges.clustering.answer_sets import AnswerSet
from judges.clustering.equivalence import BoolNN, FloatNN, Relation, is_whole, relation_id
from judges.clustering.equivalences.options import NliRule
from judges.clustering.equivalences.sides import sides
from records.keys import content_key

LABELS = ("contradiction", "neutral", "entailment")
CONTRADICTION, NEUTRAL, ENTAILMENT = range(3)
"""What a value says about the pair (row, column) as premise and hypothesis."""


@dataclass(frozen=True)
class Classifier:
    """A model that says what a premise means for a hypothesis."""

    classify: Callable[[list[tuple[str, str]]], list[int]]
    """Premises and hypotheses to values."""
    tokenizer: Any
    max_tokens: int
    """Of both sides together, without special tokens."""


@dataclass(frozen=True)
class Nli:
    """Entailment in both directions, under one of three rules."""

    load: Callable[[], Classifier]
    """Called only where there is something to classify."""
    nli_rule: NliRule
    digest: str
    name: str

    @property
    def rule(self) -> str:
        """The rule's name."""
        return self.nli_rule

    @property
    def greedy(self) -> bool:
        """Whether only the first members of clusters are compared."""
        return self.nli_rule == "greedy"

    def relate(self, sets: Sequence[AnswerSet], known: Sequence[Relation | None]) -> Iterator[tuple[int, Relation]]:
        """Yield the label of every ordered pair of texts of each set; a set's pairs are computed by themselves."""
        for index, answers in enumerate(sets):
            if not is_whole(known[index]):
                yield index, self._relation(answers)

    def same(self, values_NN: FloatNN) -> BoolNN:
        """Return which texts mean the same under the rule."""
        fine_NN: BoolNN = values_NN == ENTAILMENT
        if self.nli_rule == "no-contradiction":
            fine_NN = values_NN != CONTRADICTION
        return fine_NN & fine_NN.T

    def similarity(self, values_NN: FloatNN) -> FloatNN:
        """Return 1 at (i, j) where j entails i: the most central text is entailed by the most others."""
        entails_NN: BoolNN = values_NN == ENTAILMENT
        return entails_NN.T.astype(np.float64)

    def _relation(self, answers: AnswerSet) -> Relation:
        model = self.load()
        texts, lengths = sides(model.tokenizer, answers, model.max_tokens // 2)
        n = len(texts)
        pairs = [(i, j) for i in range(n) for j in range(n) if i != j]
        values_NN = np.full((n, n), float(ENTAILMENT))
        for pair, value in zip(pairs, model.classify([(texts[i], texts[j]) for i, j in pairs]), strict=True):
            values_NN[pair] = value
        return Relation(
            id=relation_id(self, answers),
            prompt_id=answers.prompt_id,
            values=values_NN.tolist(),
            n_cut=_n_cut(lengths, model.max_tokens),
        )


def open_nli(name: str, rule: NliRule, batch_size: int) -> Nli:
    """Return the relation by the classifier called `name`, a folder or a hub id.

    Raises InputError where there is none, or its labels are not entailment, neutral and contradiction.
    """
    from transformers import AutoConfig

    from engines.models import model_digest

    try:
        config = AutoConfig.from_pretrained(name)
    except Exception as error:  # the library raises many types; each means that the model is not to be had
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"no NLI model '{name}': not a folder and not on the hub: {reason}") from None
    value_of = _values(config.id2label, name)
    weights = model_digest(Path(name)) if Path(name).is_dir() else getattr(config, "_commit_hash", None)
    digest = content_key("nli", "question answer", weights or name)
    return Nli(cache(lambda: _classifier(name, value_of, batch_size)), rule, digest, f"NLI by {name}")


def _classifier(name: str, value_of: dict[int, int], batch_size: int) -> Classifier:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
        # safetensors only: a pickle could run code. The hub converts models that have none.
        model = AutoModelForSequenceClassification.from_pretrained(name, use_safetensors=True, dtype=torch.float32)
    except (OSError, ValueError, RuntimeError) as error:
        raise EngineError(f"{name}: the NLI model cannot be loaded: {' '.join(str(error).split())[:200]}") from None
    model = model.eval().to("cuda" if torch.cuda.is_available() else "cpu")
    longest = _longest(model.config, tokenizer)

    @torch.inference_mode()
    def classify(pairs: list[tuple[str, str]]) -> list[int]:
        order = sorted(range(len(pairs)), key=lambda index: -sum(map(len, pairs[index])))
        values = [NEUTRAL] * len(pairs)
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            # longest_first takes from the end of whichever side is longer, so both sides are cut alike
            inputs = tokenizer(
                [pairs[index][0] for index in batch],
                [pairs[index][1] for index in batch],
                truncation="longest_first",
                max_length=longest,
                padding=True,
                return_tensors="pt",
            ).to(model.device)
            for index, label in zip(batch, model(**inputs).logits.argmax(-1).tolist(), strict=True):
                values[index] = value_of[label]
        return values

    return Classifier(classify, tokenizer, longest - tokenizer.num_special_tokens_to_add(pair=True))


def _values(id2label: dict[int, str], name: str) -> dict[int, int]:
    """Return the value that each of the model's label ids stands for, read from the labels' names."""
    values = {index: LABELS.index(label.lower()) for index, label in id2label.items() if label.lower() in LABELS}
    if sorted(values.values()) != [CONTRADICTION, NEUTRAL, ENTAILMENT]:
        raise InputError(
            f"the model '{name}' has the labels {', '.join(map(str, id2label.values()))}; an NLI model must name "
            f"{', '.join(LABELS)} in its config's id2label"
        )
    return values


def _longest(config: Any, tokenizer: Any) -> int:
    positions: int = config.max_position_embeddings
    if "roberta" in config.model_type:
        positions -= config.pad_token_id + 1  # its positions are counted from there
    return min(positions, int(tokenizer.model_max_length))


def _n_cut(lengths: Sequence[int], max_tokens: int) -> int:
    """Return how many sides are cut in some pair: such as do not fit beside the longest other one's fair share."""
    n_cut = 0
    for index, length in enumerate(lengths):
        longest_other = max(other for place, other in enumerate(lengths) if place != index)
        n_cut += length > max_tokens - min(longest_other, max_tokens // 2)
    return n_cut
