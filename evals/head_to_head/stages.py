"""The two stages that ask a model: each model answers the prompts, and the judge compares the answers of every two."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import msgspec

from console.errors import InputError
from engines.options import open_engine
from engines.protocol import Engine, Sampling
from evals.comparing.asking import Asking, ask_answers
from evals.comparing.matching import key_of, stripped
from evals.head_to_head.options import Config
from evals.head_to_head.questions import Question, answer_in
from evals.head_to_head.sides import Model, Side
from judges.judging.pairwise import Contest
from records import Comparison, Response
from records.names import folder_name

Answers = Mapping[str, Response | None]
"""The answers of a model by the keys of the questions, None if it has none."""


@dataclass(frozen=True)
class Match:
    """Two models, and their contest on each question, None if one of them has no answer to it."""

    first: str
    second: str
    contests: list[Contest | None]
    """The first model is not always `model_a`: see `match_of`."""


def sampling_of(config: Config) -> Sampling:
    """Return the settings of the answers."""
    return Sampling(config.max_new_tokens, config.temperature, config.top_p)


def asking_of(config: Config) -> Asking:
    """Return the settings that answers and verdicts share."""
    return Asking(config.seed, config.fresh, config.scale)


def responses_path(folder: Path, side: Model) -> Path:
    """Return the file of a model's answers."""
    return folder / folder_name(side.name) / "responses.jsonl"


def open_models(sides: Sequence[Side]) -> dict[str, Engine]:
    """Return the engines of the models among `sides` by their names, none of which is loaded yet.

    Raises InputError if two names are of one model, whose answers would be the same.
    """
    engines: dict[str, Engine] = {}
    names: dict[str, str] = {}
    for side in sides:
        if isinstance(side, Model):
            engine = open_engine(side.options)
            if (other := names.setdefault(engine.digest, side.name)) != side.name:
                raise InputError(f"{other} and {side.name} are the same model: it is not compared with itself")
            engines[side.name] = engine
    return engines


def answer(
    sides: Sequence[Side], engines: dict[str, Engine], questions: Sequence[Question], folder: Path, config: Config
) -> dict[str, Answers]:
    """Return the answers of each side by its name. Those of models are stored in their responses.jsonl.

    Each engine is let go before the next one answers, because two models at once may not fit.
    """
    answers: dict[str, Answers] = {}
    prompts = [question.prompt for question in questions]
    for side in sides:
        if isinstance(side, Model):
            path, sampling = responses_path(folder, side), sampling_of(config)
            rows = ask_answers(engines.pop(side.name), side.options, prompts, sampling, path, asking_of(config))
            answers[side.name] = by_question(rows, questions)
        else:
            answers[side.name] = {question.key: answer_in(side, question) for question in questions}
    return answers


def by_question(rows: Sequence[Response], questions: Sequence[Question]) -> Answers:
    """Return a model's own answers, without their reasoning, by question."""
    by_key = {key_of(response.prompt): stripped(response) for response in rows}
    return {question.key: by_key.get(question.key) for question in questions}


def matches_of(answers: Mapping[str, Answers], questions: Sequence[Question]) -> Iterator[Match]:
    """Yield the match of every two models."""
    for first, second in combinations(answers, 2):
        yield match_of(first, second, answers, questions)


def match_of(first: str, second: str, answers: Mapping[str, Answers], questions: Sequence[Question]) -> Match:
    """Return the match of two models.

    In its contests the names are in alphabetical order, so that verdicts are found again if the user names the models
    the other way round. The judge sees both orders in any case.
    """
    name_a, name_b = sorted((first, second))
    contests: list[Contest | None] = []
    for question in questions:
        a, b = answers[name_a][question.key], answers[name_b][question.key]
        if a is None or b is None:
            contests.append(None)
            continue
        reference = question.prompt.reference
        contests.append(Contest(question.prompt.id, question.asked, a.response, b.response, name_a, name_b, reference))
    return Match(first, second, contests)


def seen_from(first: str, row: Comparison) -> Comparison:
    """Return a verdict with the model `first` as `model_b`, whose preference and win rate are reported."""
    if row.model_b == first:
        return row
    turned = {"a": "b", "b": "a", "tie": "tie", None: None}
    return msgspec.structs.replace(
        row,
        model_a=row.model_b,
        model_b=row.model_a,
        response_a=row.response_b,
        response_b=row.response_a,
        winner=turned[row.winner],
        # the order that shows the new a first is the other one
        first_order=turned[row.second_order],
        second_order=turned[row.first_order],
        preference_b=None if row.preference_b is None else 1 - row.preference_b,
    )
