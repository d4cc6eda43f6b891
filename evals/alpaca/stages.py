"""The two stages of AlpacaEval that ask a model: answering the prompts, and comparing with the baseline's answers."""

from collections.abc import Mapping
from pathlib import Path

from engines.answers import answer_into
from engines.protocol import Engine, Sampling
from evals.alpaca.format import Annotation, annotation_row, output_row
from evals.alpaca.sources import Benchmark, key_of, said
from judges.judging.judge import Judge
from judges.judging.pairwise import Contest, both_orders_answered, compare_into, comparison_id, first_request
from judges.judging.settle import settle_shared
from records import Comparison, Prompt, Response, Store
from records.files import Record

Answers = Mapping[str, Response]
"""The model's answers by the text of their prompt; a prompt that was not answered is not there."""


def answer(
    engine: Engine, benchmark: Benchmark, sampling: Sampling, folder: Path, *, seed: int, fresh: bool
) -> dict[str, Response]:
    """Return the model's answer to each prompt, kept in responses.jsonl so that none is written twice.

    Reasoning that a server hands on in the answer is kept there, and is no part of what is judged and measured.
    """
    with Store(folder / "responses.jsonl", Response, fresh=fresh) as store:
        rows = answer_into(store, engine, benchmark.prompts, sampling, seed=seed, title=f"{engine.name} answering")
    return {key_of(row.prompt): said(row) for row in rows}


def model_outputs(benchmark: Benchmark, answers: Answers) -> list[Record]:
    """Return the rows of model_outputs.json, in the order of the prompts."""
    return [output_row(prompt, found) for prompt in benchmark.prompts if (found := _answer_to(prompt, answers))]


def annotate(
    judge: Judge, benchmark: Benchmark, answers: Answers, model: str, folder: Path, *, fresh: bool
) -> list[Annotation]:
    """Return one annotation for each prompt, each compared in both orders and kept in comparisons.jsonl."""
    contests: dict[str, Contest] = {}
    for prompt, baseline in zip(benchmark.prompts, benchmark.baseline, strict=True):
        if found := _answer_to(prompt, answers):
            contests[_key(prompt)] = _contest(baseline, found)
    with Store(folder / "comparisons.jsonl", Comparison, keep=both_orders_answered, fresh=fresh) as store:
        if contests and not fresh:
            settle_shared(judge, store, lambda: first_request(judge, next(iter(contests.values()))))
        rows = compare_into(store, judge, list(contests.values()), f"{judge.engine.name} comparing")
    verdicts = {row.id: row for row in rows}
    annotator = f"{judge.engine.name}-{judge.rubric.name}-{judge.fingerprint}"
    annotations = []
    for prompt, baseline in zip(benchmark.prompts, benchmark.baseline, strict=True):
        contest = contests.get(_key(prompt))
        verdict = verdicts.get(comparison_id(judge, contest)) if contest else None
        annotations.append(annotation_row(prompt, baseline, model, verdict, annotator))
    return annotations


def _contest(baseline: Response, answer: Response) -> Contest:
    return Contest(answer.prompt_id, answer.prompt, baseline.response, answer.response, baseline.model, answer.model)


def _answer_to(prompt: Prompt, answers: Answers) -> Response | None:
    return answers.get(_key(prompt))


def _key(prompt: Prompt) -> str:
    return key_of(prompt.prompt, prompt.system)
