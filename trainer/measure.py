"""Measures every iteration of a run on held-out prompts, with one judge for all of them."""

import gc
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import msgspec

from engines.answers import answer_into
from engines.protocol import Sampling
from judges.judge import Judge, had_a_reply, judge_into, open_judge
from judges.options import JudgeOptions
from judges.pairwise import Contest, WinRate, both_orders_answered, compare_into, win_rate
from records import Comparison, Judgment, Prompt, Response, Store
from records.rows import Row
from records.runs import Run
from records.store import write_atomic, write_rows
from trainer.recipe import Config


class Measured(Row, frozen=True, kw_only=True):
    """One iteration on the held-out prompts."""

    iteration: int
    judge: str
    """The iteration whose model judged."""
    n_prompts: int
    n_unscored: int
    mean_score: float | None
    mean_chars: float
    win_rate: WinRate | None
    """Against iter0; None for iter0 itself."""


def measure(run: Run, prompts: list[Prompt], config: Config) -> list[Measured]:
    """Return how each iteration does, and write eval/summary.json and each iterN/metrics.json."""
    summary = run.folder / "eval" / "summary.json"
    if summary.exists():
        return msgspec.json.decode(summary.read_bytes(), type=list[Measured])
    write_rows(run.folder / "eval" / "prompts.jsonl", prompts)
    answers = {number: _answers(run, number, prompts, config) for number in range(config.iterations + 1)}
    measured = _judged(run, answers, config)
    for row in measured:
        write_atomic(run.iteration(row.iteration) / "metrics.json", msgspec.json.format(msgspec.json.encode(row)))
    write_atomic(summary, msgspec.json.format(msgspec.json.encode(measured)))
    return measured


def _answers(run: Run, number: int, prompts: list[Prompt], config: Config) -> list[Response]:
    from engines.transformers_engine import TransformersEngine

    engine = TransformersEngine.load(run.model(number), f"iter{number}", config.engine.batch_size)
    options = config.candidates
    sampling = Sampling(options.max_new_tokens, options.temperature, options.top_p)
    with Store(_path(run, f"iter{number}"), Response) as store:
        found = answer_into(store, engine, prompts, sampling, seed=config.seed, title=f"iter{number} held-out answers")
    del engine
    gc.collect()
    return found


def _judged(run: Run, answers: dict[int, list[Response]], config: Config) -> list[Measured]:
    from engines.transformers_engine import TransformersEngine

    name = f"iter{config.eval.judge}"
    engine = TransformersEngine.load(run.model(config.eval.judge), name, config.engine.batch_size)
    scorer = open_judge(engine, config.judge, config.seed)
    comparer = open_judge(engine, _pairwise(config), config.seed)
    everything = [response for responses in answers.values() for response in responses]
    with Store(_path(run, "judgments"), Judgment, keep=had_a_reply) as store:
        judgments = {row.response_id: row for row in judge_into(store, scorer, everything, "held-out scores")}
    rates = _win_rates(run, comparer, answers)
    return [
        _measured(number, name, [judgments[response.id] for response in responses], rates.get(number))
        for number, responses in answers.items()
    ]


def _win_rates(run: Run, comparer: Judge, answers: dict[int, list[Response]]) -> dict[int, WinRate]:
    base = {response.prompt_id: response for response in answers[0]}
    others = [response for number, responses in answers.items() if number > 0 for response in responses]
    contests = [_contest(base[other.prompt_id], other) for other in others if other.prompt_id in base]
    with Store(_path(run, "comparisons"), Comparison, keep=both_orders_answered) as store:
        comparisons = compare_into(store, comparer, contests, "held-out comparisons")
    by_model: dict[str, list[Comparison]] = {}
    for comparison in comparisons:
        by_model.setdefault(comparison.model_b, []).append(comparison)
    return {number: win_rate(by_model.get(f"iter{number}", [])) for number in answers if number > 0}


def _contest(base: Response, other: Response) -> Contest:
    return Contest(other.prompt_id, other.prompt, base.response, other.response, base.model, other.model)


def _measured(number: int, judge: str, judgments: list[Judgment], rate: WinRate | None) -> Measured:
    scores = [judgment.score for judgment in judgments if judgment.score is not None]
    return Measured(
        iteration=number,
        judge=judge,
        n_prompts=len(judgments),
        n_unscored=len(judgments) - len(scores),
        mean_score=fmean(scores) if scores else None,
        mean_chars=fmean(len(judgment.response) for judgment in judgments),
        win_rate=rate,
    )


def _pairwise(config: Config) -> JudgeOptions:
    return replace(config.judge, rubric=config.eval.rubric, samples=1)


def _path(run: Run, name: str) -> Path:
    return run.folder / "eval" / f"{name}.jsonl"
