"""The two stages of AlpacaEval that ask a model: answering the prompts, and comparing the answers with the baseline."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from engines.protocol import Engine, Sampling
from evals.alpaca.format import Annotation, annotation_row, output_row
from evals.alpaca.options import Config
from evals.alpaca.sources import Benchmark
from evals.comparing.asking import Asking, ask_answers, ask_verdicts
from evals.comparing.matching import key_of, stripped
from judges.judging.judge import Judge
from judges.judging.pairwise import Contest, both_orders_answered, comparison_id
from records import Prompt, Response
from records.files import Record

Answers = Mapping[str, Response]
"""The model's answers by the text of their prompt, without prompts that have no answer."""


def answer(
    engine: Engine, benchmark: Benchmark, sampling: Sampling, folder: Path, config: Config
) -> dict[str, Response]:
    """Return the model's answer to each prompt, stored in responses.jsonl so that none is sampled twice.

    Reasoning in an answer stays in that file. It is not judged or measured.
    """
    path = folder / "responses.jsonl"
    rows = ask_answers(engine, config.engine, benchmark.prompts, sampling, path, _asking(config))
    return by_prompt(rows)


def by_prompt(rows: Iterable[Response]) -> dict[str, Response]:
    """Return answers without their reasoning by the texts of their prompts."""
    return {key_of(response.prompt): stripped(response) for response in rows}


def contests_of(benchmark: Benchmark, answers: Answers) -> dict[str, Contest]:
    """Return the contest of each answered prompt with the baseline's answer, by the text of the prompt."""
    return {
        _key(prompt): _contest(baseline, response)
        for prompt, baseline in zip(benchmark.prompts, benchmark.baseline, strict=True)
        if (response := _answer_to(prompt, answers))
    }


def model_outputs(benchmark: Benchmark, answers: Answers) -> list[Record]:
    """Return the rows of model_outputs.json, in the order of the prompts."""
    return [output_row(prompt, response) for prompt in benchmark.prompts if (response := _answer_to(prompt, answers))]


@dataclass(frozen=True)
class Annotations:
    """One annotation per prompt, and how many have no preference for lack of an answer, which is asked for again."""

    rows: list[Annotation]
    n_unanswered: int


def annotate(
    judge: Judge, benchmark: Benchmark, answers: Answers, model: str, folder: Path, config: Config
) -> Annotations:
    """Return one annotation per prompt, compared in both orders and stored in comparisons.jsonl."""
    contests = contests_of(benchmark, answers)
    options, judging = config.judge.engine_options(config.engine), config.judge.judge_options()
    path = folder / "comparisons.jsonl"
    verdicts = ask_verdicts(judge, options, judging, list(contests.values()), path, _asking(config))
    annotator = f"{judge.engine.name}-{judge.rubric.name}-{judge.fingerprint}"
    annotations, n_unanswered = [], 0
    for prompt, baseline in zip(benchmark.prompts, benchmark.baseline, strict=True):
        contest = contests.get(_key(prompt))
        verdict = verdicts.get(comparison_id(judge, contest)) if contest else None
        annotations.append(annotation_row(prompt, baseline, model, verdict, annotator))
        n_unanswered += verdict is None or (verdict.winner is None and not both_orders_answered(verdict))
    return Annotations(annotations, n_unanswered)


def _asking(config: Config) -> Asking:
    return Asking(config.seed, config.fresh, config.scale)


def _contest(baseline: Response, answer: Response) -> Contest:
    return Contest(answer.prompt_id, answer.prompt, baseline.response, answer.response, baseline.model, answer.model)


def _answer_to(prompt: Prompt, answers: Answers) -> Response | None:
    return answers.get(_key(prompt))


def _key(prompt: Prompt) -> str:
    return key_of(prompt.prompt, prompt.system)
