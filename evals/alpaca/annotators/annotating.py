"""Annotates a model's answers with one of the alpaca-eval package's annotators."""

import logging
import math
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import openai

from console.errors import InputError
from console.progress import say
from engines.options import EngineOptions
from evals.alpaca.annotators.configs import AnnotatorConfig, annotator_config
from evals.alpaca.annotators.replies import MAX_RETRIES, AnnotatorReply, Replies, has_preference
from evals.alpaca.format import UNANSWERED
from evals.alpaca.options import Config
from evals.alpaca.package import quietly
from evals.alpaca.rows import Annotation, alpaca_index
from evals.alpaca.sources import Benchmark
from evals.alpaca.stages import Annotations
from evals.comparing.matching import key_of
from records import Prompt, Response, Store, read_rows, text_of
from records.names import folder_name

NO_VERDICT = "the annotator gave no preference"
NO_KEY = "none"
SHOWN_REASONS = 3
TEXTS = ("instruction", "output_1", "output_2")


@dataclass(frozen=True)
class Annotator:
    """An annotator, the server that it is asked of, and its model there."""

    config: AnnotatorConfig
    options: EngineOptions
    model: str | None
    """The model to ask in place of the configuration's."""

    @property
    def name(self) -> str:
        """The annotator's name in results."""
        return self.config.called(self.model)


def annotator_of(config: Config) -> Annotator | None:
    """Return the annotator that the flags name, or None for this project's own judge.

    Raises InputError if there is no such annotator, or no server to ask it of.
    """
    if config.annotator is None or config.annotations is not None:
        return None
    known, judge = annotator_config(config.annotator), config.judge
    options = judge.engine_options(config.engine)
    base_url = judge.judge_base_url or os.environ.get("OPENAI_BASE_URL")
    if not base_url:
        raise InputError(
            f"--annotator {config.annotator}: give the server that it is asked of, with --judge-base-url or "
            "OPENAI_BASE_URL, such as https://api.openai.com/v1"
        )
    if len(base_url.split()) > 1:
        raise InputError("--annotator asks one server: give one --judge-base-url")
    return Annotator(known, replace(options, base_url=base_url), judge.judge_model)


def n_replies_there(annotator: Annotator, folder: Path) -> int:
    """Return the number of stored replies that give a preference."""
    path = replies_path(annotator, folder)
    return sum(map(has_preference, read_rows(path, AnnotatorReply))) if path.exists() else 0


def replies_path(annotator: Annotator, folder: Path) -> Path:
    """Return the file of an annotator's replies."""
    return folder / f"annotator-{folder_name(annotator.name)}.jsonl"


def annotate_as_package(
    annotator: Annotator,
    benchmark: Benchmark,
    answers: Mapping[str, Response],
    model: str,
    folder: Path,
    *,
    fresh: bool,
) -> Annotations:
    """Return one annotation per prompt, as the package makes them. Replies are stored as they come.

    A reply without a preference, or a call that failed, is null, and the next run asks for it again.
    """
    pairs = [
        Pair(prompt, baseline, answers.get(key_of(prompt.prompt, prompt.system)))
        for prompt, baseline in zip(benchmark.prompts, benchmark.baseline, strict=True)
    ]
    with (
        quietly("utils", "annotators.pairwise_evaluator", level=logging.CRITICAL + 1) as package,
        Store(replies_path(annotator, folder), AnnotatorReply, keep=has_preference, fresh=fresh) as store,
    ):
        asking = _asking(annotator, package, store)
        rows = [pair.texts for pair in pairs if pair.answer is not None]
        annotated = asking.annotate_pairs(rows, chunksize=len(rows)) if rows else []
    failures = sum((member.fn_completions.failures for member in asking.annotators.values()), Counter[str]())
    for why, n in failures.most_common(SHOWN_REASONS):
        say(f"{annotator.name}: {n} calls failed: {why}; the same command asks again")
    by_texts = {tuple(row[name] for name in TEXTS): row for row in annotated}
    made = [_annotation(annotator, pair, model, by_texts) for pair in pairs]
    return Annotations(made, sum(annotation.preference is None for annotation in made))


@dataclass(frozen=True)
class Pair:
    """A prompt with the baseline's answer and the model's."""

    prompt: Prompt
    baseline: Response
    answer: Response | None

    @property
    def texts(self) -> dict[str, str | None]:
        """The texts by the package's names."""
        output = self.answer.response if self.answer else None
        return dict(zip(TEXTS, (text_of(self.prompt.prompt), self.baseline.response, output), strict=True))


def _asking(annotator: Annotator, package: ModuleType, store: Store[AnnotatorReply]) -> Any:
    """Return the package's annotator, which asks our way.

    It has no memory of its own, because that would keep null as an annotation and write into the package's folder.
    """
    asking = package.PairwiseAnnotator(
        annotators_config=annotator.config.path,
        caching_path=None,
        is_avoid_reannotations=False,
        is_store_missing_annotations=False,
    )
    options = annotator.options
    client = openai.OpenAI(
        base_url=options.base_url,
        api_key=os.environ.get(options.api_key_env) or NO_KEY,
        timeout=options.timeout_s,
        max_retries=MAX_RETRIES,
    )
    for name, member in asking.annotators.items():
        parse = partial(_parsed, member)
        to_chat = package.utils.prompt_to_chatml
        member.fn_completions = Replies(store, name, client, options, annotator.model, parse, to_chat)
    return asking


def _parsed(member: Any, choice: dict[str, Any]) -> list[float | None]:
    """Return what the annotator's own parser makes of a choice."""
    completion = choice["text"] if member.completion_key == "completions" else choice
    parsed, _ = member._parse_completions([completion])
    return [_number(value) for value in parsed]


def _annotation(
    annotator: Annotator, pair: Pair, model: str, by_texts: Mapping[tuple[Any, ...], dict[str, Any]]
) -> Annotation:
    row = by_texts.get(tuple(pair.texts.values()), {})
    preference = _number(row.get("preference"))
    missing = NO_VERDICT if pair.answer else UNANSWERED
    return Annotation(
        **pair.texts,  # type: ignore[arg-type]
        generator_1=pair.baseline.model,
        generator_2=model,
        dataset=pair.prompt.source,
        annotator=annotator.name,
        preference=preference,
        raw_completion=None if preference is None else row.get("preference_raw_completion"),
        error=missing if preference is None else None,
        index=alpaca_index(pair.texts["instruction"]),
    )


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
