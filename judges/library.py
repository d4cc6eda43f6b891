"""The judge for other programs: plain texts in, rows out, no file needed."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

from console.again import StartAgain
from console.errors import InputError
from console.progress import say
from engines.options import EngineOptions, open_engine
from judges.options import JudgeOptions
from records import Comparison, Judgment, Message, Response
from records.keys import content_key

if TYPE_CHECKING:
    from judges.judge import Judge, Prompts

UNNAMED = "unknown"

RowT = TypeVar("RowT")


def open_by_name(model: str, seed: int, settings: dict[str, Any]) -> "Judge":
    """Return a judge from the names of the command line's flags; raises InputError for a name that is none."""
    from judges.judge import open_judge

    engine_names = {field.name for field in fields(EngineOptions)} - {"model"}
    judge_names = {field.name for field in fields(JudgeOptions)}
    if unknown := settings.keys() - engine_names - judge_names:
        known = ", ".join(sorted(engine_names | judge_names))
        raise InputError(f"unknown setting {sorted(unknown)[0]!r}; known: {known}")
    engine = EngineOptions(model, **{name: value for name, value in settings.items() if name in engine_names})
    options = JudgeOptions(**{name: value for name, value in settings.items() if name in judge_names})
    return open_judge(open_engine(engine), options, seed)


def score(
    judge: "Judge", prompts: "Prompts", answers: Sequence[str], references: Sequence[str | None] | None = None
) -> list[Judgment]:
    """Return the judgment of each answer, in order; equal answers to equal prompts are judged once."""
    rights = references or [None] * len(prompts)
    _check_lengths(prompts=prompts, answers=answers, references=rights)
    responses = [response_of(*row) for row in zip(prompts, answers, rights, strict=True)]
    once = list({response.id: response for response in responses}.values())
    found = {row.response_id: row for row in _settled(lambda: judge.judge(once))}
    return [found[response.id] for response in responses]


def compare(
    judge: "Judge",
    prompts: "Prompts",
    firsts: Sequence[str],
    seconds: Sequence[str],
    references: Sequence[str | None] | None = None,
) -> list[Comparison]:
    """Return the comparison of each two answers, in order, asked in both orders."""
    from judges import pairwise

    rights = references or [None] * len(prompts)
    _check_lengths(prompts=prompts, firsts=firsts, seconds=seconds, references=rights)
    contests = [
        pairwise.Contest(content_key("prompt", prompt), prompt, first, second, "a", "b", right)
        for prompt, first, second, right in zip(prompts, firsts, seconds, rights, strict=True)
    ]
    once = list({content_key(contest): contest for contest in contests}.values())
    found = {row.id: row for row in _settled(lambda: pairwise.compare(judge, once, ()))}
    return [found[pairwise.comparison_id(judge, contest)] for contest in contests]


def _settled(asked: Callable[[], Iterator[RowT]]) -> list[RowT]:
    """Return all rows; they are asked for again where the engine learns meanwhile what its server refuses."""
    while True:
        try:
            return list(asked())
        except StartAgain as again:
            say(f"{again}: asking again")


def response_of(prompt: str | list[Message], answer: str, reference: str | None) -> Response:
    """Return one answer as the row that a judge reads."""
    return Response(
        id=content_key("response", prompt, answer, reference),
        prompt_id=content_key("prompt", prompt),
        prompt=prompt,
        response=answer,
        model=UNNAMED,
        reference=reference,
    )


def _check_lengths(**given: Sequence[object]) -> None:
    lengths = {name: len(values) for name, values in given.items()}
    if len(set(lengths.values())) > 1:
        raise InputError(f"one of each is needed: {', '.join(f'{n} {name}' for name, n in lengths.items())}")
