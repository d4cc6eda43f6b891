"""The judge for other programs: plain texts in, rows out, no file needed."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from console.again import StartAgain
from console.errors import InputError
from console.progress import say
from engines.options import EngineOptions, open_engine
from judges.judging import judge as judging
from judges.judging import pairwise
from judges.options import JudgeOptions
from judges.rubrics.rubric import Rubric
from records import Comparison, Judgment, Message, Response
from records.keys import content_key

Prompts = Sequence[str | list[Message]]
RowT = TypeVar("RowT")
UNNAMED = "unknown"
"""The model that a row names if nobody said who wrote the answer."""


@dataclass(frozen=True)
class Judge:
    """A judge that takes plain texts; make one with `Judge.open`."""

    judge: judging.Judge

    @staticmethod
    def open(model: str = "smollm2", *, seed: int = 0, **settings: Any) -> "Judge":
        """Return the judge that the command line's flags of the same names describe: rubric, read, samples, base_url...

        Raises InputError for an unknown setting, EngineError if the model cannot be loaded or reached.
        """
        engine_names = {field.name for field in fields(EngineOptions)} - {"model"}
        judge_names = {field.name for field in fields(JudgeOptions)}
        if unknown := settings.keys() - engine_names - judge_names:
            known = ", ".join(sorted(engine_names | judge_names))
            raise InputError(f"unknown setting {sorted(unknown)[0]!r}; known: {known}")
        engine = EngineOptions(model, **{name: value for name, value in settings.items() if name in engine_names})
        options = JudgeOptions(**{name: value for name, value in settings.items() if name in judge_names})
        return Judge(judging.open_judge(open_engine(engine), options, seed))

    @property
    def rubric(self) -> Rubric:
        """The rubric that it judges by."""
        return self.judge.rubric

    @property
    def fingerprint(self) -> str:
        """16 hex digits of everything that changes a verdict."""
        return self.judge.fingerprint

    def score(
        self, prompts: Prompts, answers: Sequence[str], references: Sequence[str | None] | None = None
    ) -> list[Judgment]:
        """Return the judgment of each answer, in order; a judgment without a score says why in `error`.

        Equal answers to equal prompts are judged once. Raises InputError if the lengths differ.
        """
        rights = references or [None] * len(prompts)
        _check_lengths(prompts=prompts, answers=answers, references=rights)
        responses = [response_of(*row) for row in zip(prompts, answers, rights, strict=True)]
        once = list({response.id: response for response in responses}.values())
        rows = {row.response_id: row for row in _settled(lambda: self.judge.judge(once))}
        return [rows[response.id] for response in responses]

    def compare(
        self,
        prompts: Prompts,
        firsts: Sequence[str],
        seconds: Sequence[str],
        references: Sequence[str | None] | None = None,
    ) -> list[Comparison]:
        """Return the comparison of each two answers, in order, asked in both orders; raises as `score` does."""
        rights = references or [None] * len(prompts)
        _check_lengths(prompts=prompts, firsts=firsts, seconds=seconds, references=rights)
        contests = [
            pairwise.Contest(content_key("prompt", prompt), prompt, first, second, "a", "b", right)
            for prompt, first, second, right in zip(prompts, firsts, seconds, rights, strict=True)
        ]
        once = list({content_key(contest): contest for contest in contests}.values())
        rows = {row.id: row for row in _settled(lambda: pairwise.compare(self.judge, once, ()))}
        return [rows[pairwise.comparison_id(self.judge, contest)] for contest in contests]

    async def ascore(
        self, prompts: Prompts, answers: Sequence[str], references: Sequence[str | None] | None = None
    ) -> list[Judgment]:
        """Return what `score` returns, without holding up the event loop."""
        return await asyncio.to_thread(self.score, prompts, answers, references)

    async def acompare(
        self,
        prompts: Prompts,
        firsts: Sequence[str],
        seconds: Sequence[str],
        references: Sequence[str | None] | None = None,
    ) -> list[Comparison]:
        """Return what `compare` returns, without holding up the event loop."""
        return await asyncio.to_thread(self.compare, prompts, firsts, seconds, references)


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


def _settled(asked: Callable[[], Iterator[RowT]]) -> list[RowT]:
    """Return all rows; they are asked for again if the engine learns meanwhile what its server refuses."""
    while True:
        try:
            return list(asked())
        except StartAgain as again:
            say(f"{again}: asking again")


def _check_lengths(**given: Sequence[object]) -> None:
    lengths = {name: len(values) for name, values in given.items()}
    if len(set(lengths.values())) > 1:
        raise InputError(f"one of each is needed: {', '.join(f'{n} {name}' for name, n in lengths.items())}")
