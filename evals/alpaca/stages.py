"""The two stages of AlpacaEval that ask a model: answering the prompts, and comparing the answers with the baseline."""

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path

from engines.answers import answer_into, check_said, say_unanswered, unwritten
from engines.candidates.shards import answering
from engines.protocol import Engine, Sampling
from engines.shards.options import ScaleOptions
from engines.shards.plan import Item
from engines.shards.share import fill_by_workers, take_in
from evals.alpaca.format import Annotation, annotation_row, output_row
from evals.alpaca.options import Config
from evals.alpaca.sources import Benchmark, key_of, stripped
from judges.judging.judge import Judge
from judges.judging.pairwise import Contest, both_orders_answered, compare_into, comparison_id, first_request
from judges.judging.settle import settle_shared
from judges.judging.shards import comparing, contest_items, judge_of
from records import Comparison, Prompt, Response, Store
from records.files import Record

Answers = Mapping[str, Response]
"""The model's answers by the text of their prompt, without prompts that have no answer."""


def answer(
    engine: Engine, benchmark: Benchmark, sampling: Sampling, folder: Path, config: Config
) -> dict[str, Response]:
    """Return the model's answer to each prompt, stored in responses.jsonl so that none is sampled twice.

    Reasoning in an answer stays in that file. It is not judged or measured.
    """
    title = f"{engine.name} answering"
    with Store(folder / "responses.jsonl", Response, fresh=config.fresh) as store:
        take_in(store, Response, fresh=config.fresh)
        if config.scale.workers:
            rows = _answered_by_workers(store, engine, benchmark, sampling, config, title)
        else:
            rows = answer_into(store, engine, benchmark.prompts, sampling, seed=config.seed, title=title)
    return {key_of(response.prompt): stripped(response) for response in rows}


def _answered_by_workers(
    store: Store[Response], engine: Engine, benchmark: Benchmark, sampling: Sampling, config: Config, title: str
) -> list[Response]:
    """Return what `answer_into` returns, with the answers that `store` lacks written by worker processes."""
    empty = (unwritten(engine, prompt, sampling, config.seed, 0, None) for prompt in benchmark.prompts)
    items = [Item(row_id, row) for row_id, row in {row.id: row for row in empty}.items()]
    check_said(store, engine, [item.id for item in items])
    fill_by_workers(store, answering(config.engine, engine, sampling), lambda: items, _scale(config), title)
    rows = list(store.chosen(item.id for item in items))
    say_unanswered(len(items) - len(rows), len(items), title)
    return rows


def _scale(config: Config) -> ScaleOptions:
    return ScaleOptions(**asdict(config.scale))


def model_outputs(benchmark: Benchmark, answers: Answers) -> list[Record]:
    """Return the rows of model_outputs.json, in the order of the prompts."""
    return [output_row(prompt, response) for prompt in benchmark.prompts if (response := _answer_to(prompt, answers))]


def annotate(
    judge: Judge, benchmark: Benchmark, answers: Answers, model: str, folder: Path, config: Config
) -> list[Annotation]:
    """Return one annotation per prompt, compared in both orders and stored in comparisons.jsonl."""
    contests: dict[str, Contest] = {}
    for prompt, baseline in zip(benchmark.prompts, benchmark.baseline, strict=True):
        if response := _answer_to(prompt, answers):
            contests[_key(prompt)] = _contest(baseline, response)
    with Store(folder / "comparisons.jsonl", Comparison, keep=both_orders_answered, fresh=config.fresh) as store:
        take_in(store, Comparison, fresh=config.fresh)
        if contests and not config.fresh:
            # before the ids below: a server may say only with its first reply what it serves, and that changes the
            # fingerprint
            settle_shared(judge, store, lambda: first_request(judge, next(iter(contests.values()))))
        rows = _compared(store, judge, list(contests.values()), config)
    verdicts = {comparison.id: comparison for comparison in rows}
    annotator = f"{judge.engine.name}-{judge.rubric.name}-{judge.fingerprint}"
    annotations = []
    for prompt, baseline in zip(benchmark.prompts, benchmark.baseline, strict=True):
        contest = contests.get(_key(prompt))
        verdict = verdicts.get(comparison_id(judge, contest)) if contest else None
        annotations.append(annotation_row(prompt, baseline, model, verdict, annotator))
    return annotations


def _compared(store: Store[Comparison], judge: Judge, contests: list[Contest], config: Config) -> list[Comparison]:
    """Return the verdicts on the contests, in both orders."""
    title = f"{judge.engine.name} comparing"
    if not config.scale.workers:
        return compare_into(store, judge, contests, title)
    options = config.judge.engine_options(config.engine)
    job = comparing(judge.fingerprint, "both", partial(judge_of, options, config.judge.judge_options(), config.seed))
    items = list(contest_items(judge, iter(contests), "both"))
    fill_by_workers(store, job, lambda: items, _scale(config), title)
    return list(store.chosen(item.id for item in items))


def _contest(baseline: Response, answer: Response) -> Contest:
    return Contest(answer.prompt_id, answer.prompt, baseline.response, answer.response, baseline.model, answer.model)


def _answer_to(prompt: Prompt, answers: Answers) -> Response | None:
    return answers.get(_key(prompt))


def _key(prompt: Prompt) -> str:
    return key_of(prompt.prompt, prompt.system)
