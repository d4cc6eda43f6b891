"""The input of an encoder: the question and the answer, within a limit of tokens."""

from typing import Any

from engines.chat.neutral import neutralise
from engines.chat.template import special_tokens
from judges.cluster.answer_sets import AnswerSet
from records import text_of


def sides(tokenizer: Any, answers: AnswerSet, n_tokens: int | None) -> tuple[list[str], list[int]]:
    """Return 'question answer' for each text, and its length in tokens without special tokens.

    A question longer than half of `n_tokens` is cut at its end. Otherwise a long question would push the answers out of
    the model's input, and all would look the same. Special tokens in the texts are taken apart.
    """
    special = special_tokens(tokenizer)
    question = neutralise(text_of(answers.prompt), special)
    if n_tokens is not None:
        question = _start(tokenizer, question, n_tokens // 2)
    texts = [f"{question} {neutralise(text, special)}" for text in answers.texts]
    return texts, [len(ids) for ids in tokenizer(texts, add_special_tokens=False)["input_ids"]]


def _start(tokenizer: Any, text: str, n_tokens: int) -> str:
    """Return the first `n_tokens` tokens of `text`, as it is written."""
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    ends = [end for _, end in encoded["offset_mapping"]]
    return text if len(ends) <= n_tokens else text[: ends[n_tokens - 1]]
