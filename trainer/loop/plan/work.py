"""The work of one stage, and the parts that the stages' own estimates share."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal

from judges.options import OF_CHOICES, JudgeOptions, Reading
from judges.rubrics.rendering import fill
from judges.rubrics.rubric import Rubric
from records.rows import Message
from trainer.training.options import Learning, TrainingOptions

Kind = Literal["answer", "judge", "train"]
Count = Callable[[str], int]
"""Counts the tokens of a text."""
CHARS_PER_TOKEN = 4
TURN_TOKENS = 5
"""Tokens that a chat template adds to a turn, about."""


@dataclass(frozen=True)
class Work:
    """The work of one stage. Answer lengths are unknown, so token counts are upper bounds."""

    stage: str
    kind: Kind
    n_calls: int = 0
    n_read: int = 0
    """Prompt tokens."""
    n_shared: int = 0
    """Of these, the tokens that all questions begin with. They are computed once."""
    n_written: int = 0
    n_trained: int = 0
    """Tokens of a forward and backward pass, over all epochs."""
    n_reference: int = 0
    """Tokens that a training only reads: those of the reference model once, and those of each validation."""
    n_steps: int = 0
    """Optimiser steps."""
    n_widest: int = 0
    """Tokens in memory at once: a batch of rows, or a micro-batch."""
    training: Learning | None = None
    """The settings of a training, with its adapters."""
    row: str = ""
    """The row of the plan that has this work together with others. The default is a row of its own."""
    within: str = ""
    """The stage whose progress covers this work, if it has none of its own."""
    n_beside: int = 0
    """Models in memory beside the one that is trained: a judge, a reference."""
    files: tuple[str, ...] = ()
    """The files of the run that get a row for each of its `n_results` answers or verdicts."""
    n_results: int = 0
    is_own: bool = True
    """Whether a model of the run does the work. The speed and size of others are not known."""


@dataclass(frozen=True)
class Lengths:
    """The lengths that the work of most stages follows from."""

    prompt: int
    """Tokens of a prompt, on average."""
    answer: int
    """Tokens of the longest answer."""
    rows: int
    """Rows that are processed at once."""


def by_characters(text: str) -> int:
    """Return the tokens of a text at four characters each, right for English within about a fifth."""
    return math.ceil(len(text) / CHARS_PER_TOKEN)


def chat_tokens(chat: Sequence[Message], count: Count = by_characters) -> int:
    """Return the tokens of a rendered conversation."""
    return sum(count(message["content"]) + TURN_TOKENS for message in chat)


def judge_tokens(rubric: Rubric, read: Reading, count: Count = by_characters) -> int:
    """Return the tokens of a judge's question without the texts that it is about."""
    return chat_tokens(fill(rubric, read, dict.fromkeys(rubric.placeholders - {"closing", "criteria"}, "x")), count)


def optimiser_steps(n_examples: int, options: TrainingOptions) -> int:
    """Return the optimiser steps of a training."""
    return math.ceil(n_examples / options.batch_size) * options.epochs


def answering_work(stage: str, n: int, lengths: Lengths) -> Work:
    """Return the work of writing `n` answers."""
    widest = min(n, lengths.rows) * (lengths.prompt + lengths.answer)
    work = Work(stage, "answer", n_calls=n, n_read=n * lengths.prompt, n_written=n * lengths.answer, n_widest=widest)
    return replace(work, n_results=n)


def together(works: Sequence[Work]) -> list[Work]:
    """Return a work for each row of the plan: those that share a row as one, after those that have their own."""
    shared = dict.fromkeys(work.row for work in works if work.row)
    return [work for work in works if not work.row] + [
        _sum(row, [work for work in works if work.row == row]) for row in shared
    ]


COUNTS = tuple(
    field.name
    for field in fields(Work)
    if field.name.startswith("n_") and field.name not in ("n_widest", "n_beside")  # of which the largest counts
)
"""What several works have together, and a part of one has in part."""


def _sum(row: str, works: Sequence[Work]) -> Work:
    counts = {name: sum(getattr(work, name) for work in works) for name in COUNTS}
    is_own = all(work.is_own for work in works)
    most = {name: max(getattr(work, name) for work in works) for name in ("n_widest", "n_beside")}
    return Work(row, works[0].kind, is_own=is_own, **most, **counts)


def judging_work(
    stage: str, n: int, rubric: Rubric, options: JudgeOptions, lengths: Lengths, n_shown: int | None = None
) -> Work:
    """Return the work of `n` verdicts. `n_shown` are the tokens shown beside the prompt, by default the answers."""
    by_logprobs = options.read in OF_CHOICES
    n_calls = n * (len(rubric.labels) if options.read == "logprobs" else 1 if by_logprobs else options.samples)
    n_new = 0 if by_logprobs else options.max_new_tokens
    if n_shown is None:
        n_shown = (2 if rubric.kind == "pair" else 1) * lengths.answer
    n_rubric = judge_tokens(rubric, options.read)
    n_question = n_rubric + lengths.prompt + n_shown
    widest = min(n_calls, lengths.rows) * (n_question + n_new)
    return Work(
        stage,
        "judge",
        n_calls=n_calls,
        n_read=n_calls * n_question,
        n_shared=n_calls * n_rubric if by_logprobs else 0,
        n_written=n_calls * n_new,
        n_widest=widest,
    )
