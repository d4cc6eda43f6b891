"""The work of each stage of a loop: calls, tokens read, tokens written and tokens trained on."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from judges.judging.question import load_question
from judges.options import Reading
from judges.retrieval import claims
from judges.retrieval.verifier import SHOWN_WORDS
from judges.rubrics.rendering import fill
from judges.rubrics.rubric import Rubric, load_rubric
from records.rows import Message, Prompt, messages_of
from trainer.loop.recipe import Config
from trainer.loop.splits import count_stopping
from trainer.pairs.meta import META_RUBRIC
from trainer.training.options import TrainingOptions

Count = Callable[[str], int]
CHARS_PER_TOKEN = 4
WORD_TOKENS = 4 / 3
"""Tokens per English word, about."""
TURN_TOKENS = 5
"""Tokens that a chat template adds to a turn, about."""


@dataclass(frozen=True)
class Work:
    """The work of one stage. Answer lengths are unknown, so token counts are upper bounds."""

    stage: str
    kind: Literal["answer", "judge", "train"]
    n_calls: int = 0
    n_read: int = 0
    """Prompt tokens."""
    n_written: int = 0
    n_trained: int = 0
    """Tokens of a forward and backward pass, over all epochs."""
    n_reference: int = 0
    """Tokens that the reference model reads once."""
    n_steps: int = 0
    """Optimiser steps."""
    n_widest: int = 0
    """Tokens in memory at once: a batch of rows, or a micro-batch."""


def by_characters(text: str) -> int:
    """Return the tokens of a text at four characters each, right for English within about a fifth."""
    return math.ceil(len(text) / CHARS_PER_TOKEN)


def loop_work(
    config: Config, prompts: Sequence[Prompt], sft_chats: Sequence[Sequence[Message]], count: Count = by_characters
) -> list[Work]:
    """Return the work of all stages in order, from the settings, the seed prompts and the chats that iter1 learns."""
    n_prompt = round(fmean(_chat_tokens(messages_of(p.prompt, p.system), count) for p in prompts)) if prompts else 0
    works = [_sft(config, sft_chats, count)]
    for number in range(2, config.iterations + 1):
        works += _gathering(f"iter{number}", n_prompt, config)
        works += _learning(f"iter{number}", n_prompt, len(prompts), config)
    return [*works, *_held_out(n_prompt, config)]


def _gathering(name: str, n_prompt: int, config: Config) -> Iterator[Work]:
    """Yield the work of making a round's pairs."""
    rubric, n_answers = load_rubric(config.judge.rubric), config.candidates.prompts * config.candidates.n
    n_judged = n_answers
    if config.new_prompts.source != "seeds":
        yield _new_prompts(f"{name} new prompts, at least", n_prompt, config)
    if config.round.rejected == "iter0":
        yield _answers(f"{name} answers of iter0", n_answers, n_prompt, config)
        n_judged += n_answers
    yield _answers(f"{name} candidates", n_answers, n_prompt, config)
    if config.evidence.enabled:
        yield _evidence(f"{name} evidence, at most", n_judged, n_prompt, config)
    yield _verdicts(f"{name} judging", n_judged, rubric, n_prompt, config)
    if config.round.meta:
        yield _meta_judging(f"{name} meta-judging, at most", n_prompt, config)
    if config.round.consistency != "off":
        n_answer = n_prompt + config.candidates.max_new_tokens
        widest = config.engine.batch_size * n_answer
        yield Work(f"{name} consistency", "answer", n_read=3 * n_answers * n_answer, n_widest=widest)


def _learning(name: str, n_prompt: int, n_seeds: int, config: Config) -> Iterator[Work]:
    """Yield the work of a round's training and of comparing its checkpoints."""
    if config.round.learn == "perfect":
        yield _positive_only(f"{name} SFT", n_prompt, config)
        return
    dpo = _dpo(f"{name} DPO", n_prompt, config)
    yield dpo
    if config.early_stop is not None:
        n_each = count_stopping(n_seeds, config)
        n_compared = dpo.n_steps // config.early_stop.every_n_steps  # each is compared with the best before it
        rubric = load_rubric(config.eval.rubric)
        yield _answers(f"{name} checkpoints' answers, at most", (n_compared + 1) * n_each, n_prompt, config)
        yield _verdicts(
            f"{name} checkpoints compared, at most", 2 * n_compared * n_each, rubric, n_prompt, config, samples=1
        )


def _held_out(n_prompt: int, config: Config) -> list[Work]:
    """Return the work of measuring all iterations: answers, scores by two judges, comparisons and KL to iter0."""
    rubric, n_models, n_each = load_rubric(config.judge.rubric), config.iterations + 1, config.eval.prompts
    works = [
        _answers("held-out answers", n_models * n_each, n_prompt, config),
        _verdicts("held-out scores", 2 * n_models * n_each, rubric, n_prompt, config),
        _verdicts(
            "held-out comparisons",
            2 * config.iterations * n_each,
            load_rubric(config.eval.rubric),
            n_prompt,
            config,
            samples=1,
        ),
    ]
    if config.monitors.labelled is not None:
        n_labelled = 2 * config.monitors.labelled_limit * n_models
        works.append(_verdicts("judge accuracy", n_labelled, rubric, n_prompt, config))
    if config.monitors.kl:
        n_read = 2 * config.iterations * n_each * (n_prompt + config.candidates.max_new_tokens)
        works.append(Work("KL to iter0", "answer", n_read=n_read, n_widest=n_prompt + config.candidates.max_new_tokens))
    return works


def _new_prompts(stage: str, n_prompt: int, config: Config) -> Work:
    """Return the questions for new prompts, if none of them is dropped."""
    options = config.new_prompts.few_shot
    n = math.ceil(config.candidates.prompts / options.tasks)
    n_question = (options.human + options.generated) * n_prompt
    widest = min(n, options.completions, config.engine.batch_size) * (n_question + options.max_new_tokens)
    return Work(
        stage, "answer", n_calls=n, n_read=n * n_question, n_written=n * options.max_new_tokens, n_widest=widest
    )


def _answers(stage: str, n: int, n_prompt: int, config: Config) -> Work:
    n_new = config.candidates.max_new_tokens
    widest = min(n, config.engine.batch_size) * (n_prompt + n_new)
    return Work(stage, "answer", n_calls=n, n_read=n * n_prompt, n_written=n * n_new, n_widest=widest)


def _evidence(stage: str, n: int, n_prompt: int, config: Config) -> Work:
    """Return the calls, if every answer has the most claims and each claim the most passages."""
    options, n_shown = config.evidence, n_prompt + config.candidates.max_new_tokens
    tools, stances = (load_question(name, claims.HERE).choices for name in ("tool", "stance"))
    searches = options.tool != "arithmetic"
    n_tools = n * len(tools) if options.tool == "auto" else 0
    n_claims = n if searches and options.claims == "model" else 0
    n_stances = n * options.max_claims * options.k * len(stances) if searches and options.verifier == "judge" else 0
    n_passage, n_new = round(SHOWN_WORDS * WORD_TOKENS), claims.SAMPLING.max_new_tokens
    return Work(
        stage,
        "judge",
        n_calls=n_tools + n_claims + n_stances,
        n_read=(n_tools + n_claims) * n_shown + n_stances * n_passage,
        n_written=n_claims * n_new,
        n_widest=config.engine.batch_size * max(n_shown + n_new, n_passage),
    )


def _meta_judging(stage: str, n_prompt: int, config: Config) -> Work:
    """Return the comparisons, if all judgments of one answer per prompt differ, each in both orders."""
    n = 2 * config.candidates.prompts * math.comb(config.judge.samples, 2)
    n_shown = config.candidates.max_new_tokens + 2 * config.judge.max_new_tokens
    return _verdicts(stage, n, load_rubric(META_RUBRIC), n_prompt, config, samples=1, n_shown=n_shown)


def _verdicts(
    stage: str,
    n: int,
    rubric: Rubric,
    n_prompt: int,
    config: Config,
    *,
    samples: int | None = None,
    n_shown: int | None = None,
) -> Work:
    options = config.judge
    by_logprobs = options.read == "logprobs"
    n_calls = n * (len(rubric.labels) if by_logprobs else samples or options.samples)
    n_new = 0 if by_logprobs else options.max_new_tokens
    if n_shown is None:
        n_shown = (2 if rubric.kind == "pair" else 1) * config.candidates.max_new_tokens
    n_question = judge_tokens(rubric, options.read) + n_prompt + n_shown
    widest = min(n_calls, config.engine.batch_size) * (n_question + n_new)
    return Work(
        stage, "judge", n_calls=n_calls, n_read=n_calls * n_question, n_written=n_calls * n_new, n_widest=widest
    )


def judge_tokens(rubric: Rubric, read: Reading, count: Count = by_characters) -> int:
    """Return the tokens of a judge's question without the texts that it is about."""
    return _chat_tokens(fill(rubric, read, dict.fromkeys(rubric.placeholders - {"closing", "criteria"}, "x")), count)


def _sft(config: Config, chats: Sequence[Sequence[Message]], count: Count) -> Work:
    lengths = [min(_chat_tokens(chat, count), config.sft.max_length) for chat in chats]
    n_tokens = sum(lengths) * config.sft.epochs
    widest = config.sft.micro_batch_size * max(lengths, default=0)
    return Work("iter1 SFT", "train", n_trained=n_tokens, n_steps=_steps(len(chats), config.sft), n_widest=widest)


def _positive_only(stage: str, n_prompt: int, config: Config) -> Work:
    n_answers = config.candidates.prompts * config.candidates.n
    n_answer = min(n_prompt + config.candidates.max_new_tokens, config.sft.max_length)
    return Work(
        f"{stage}, at most {n_answers} answers",
        "train",
        n_trained=n_answers * n_answer * config.sft.epochs,
        n_steps=_steps(n_answers, config.sft),
        n_widest=config.sft.micro_batch_size * n_answer,
    )


def _dpo(stage: str, n_prompt: int, config: Config) -> Work:
    n_pairs = config.candidates.prompts
    n_pair = 2 * min(n_prompt + config.candidates.max_new_tokens, config.dpo.max_length)
    return Work(
        f"{stage}, at most {n_pairs} pairs",
        "train",
        n_trained=n_pairs * n_pair * config.dpo.epochs,
        n_reference=n_pairs * n_pair,
        n_steps=_steps(n_pairs, config.dpo),
        n_widest=config.dpo.micro_batch_size * n_pair,
    )


def _steps(n_examples: int, options: TrainingOptions) -> int:
    return math.ceil(n_examples / options.batch_size) * options.epochs


def _chat_tokens(chat: Sequence[Message], count: Count) -> int:
    return sum(count(message["content"]) + TURN_TOKENS for message in chat)
