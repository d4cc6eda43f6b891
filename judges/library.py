"""The judge for other programs: plain texts in, rows out, no file needed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from console.again import StartAgain
from console.errors import InputError
from console.progress import say
from engines.options import EngineOptions, open_engine
from judges.judging import judge as judging
from judges.judging import pairwise
from judges.options import JudgeOptions
from judges.rubrics.rubric import Rubric
from judges.tools.evidence import NO_MODEL, judge_checked, with_tools
from judges.tools.options import EvidenceOptions
from records import Comparison, Judgment, Message, Response
from records.fields.constraints import own_constraints
from records.fields.messages import chat_in, text_in
from records.keys import content_key
from records.rows import Constraint

if TYPE_CHECKING:
    from judges.tools.agent import Agent

Prompts = Sequence[str | list[Message]]
Constraints = Sequence[Sequence[Constraint | Mapping[str, Any]] | None]
"""For each prompt what it asks of an answer's form: `{"kind": ..., "kwargs": ...}`, or None if nobody said."""
UNNAMED = "unknown"
"""The model that a row names if nobody said who wrote the answer."""

RowT = TypeVar("RowT")


@dataclass(frozen=True)
class Judge:
    """A judge that takes plain texts. Make one with `Judge.open`."""

    judge: judging.Judge
    agent: Agent | None = None
    """Gathers the evidence on each answer, if the judge has tools."""

    @staticmethod
    def open(model: str = "smollm2", *, seed: int = 0, **settings: Any) -> Judge:
        """Return the judge that the command line's flags of the same names describe: rubric, read, base_url, tool...

        Raises InputError for an unknown setting and for a value that its flag does not take, EngineError if the model
        cannot be loaded or reached.
        """
        kinds = {kind: get_type_hints(kind) for kind in (EngineOptions, JudgeOptions, EvidenceOptions)}
        known = {name: hint for hints in kinds.values() for name, hint in hints.items() if name != "model"}
        if unknown := settings.keys() - known.keys():
            raise InputError(f"unknown setting {sorted(unknown)[0]!r}; known: {', '.join(sorted(known))}")
        settings = {name: _setting(name, value, known[name]) for name, value in settings.items()}

        def of(kind: type[Any]) -> dict[str, Any]:
            return {name: value for name, value in settings.items() if name in kinds[kind]}

        engine = EngineOptions(_setting("model", model, str), **of(EngineOptions))
        evidence = EvidenceOptions(**of(EvidenceOptions))
        opened = open_engine(engine) if evidence.needs_model else NO_MODEL
        return Judge(*with_tools(judging.open_judge(opened, JudgeOptions(**of(JudgeOptions)), seed), evidence))

    @property
    def rubric(self) -> Rubric:
        """The rubric that it judges by."""
        return self.judge.rubric

    @property
    def fingerprint(self) -> str:
        """16 hex digits of everything that changes a verdict."""
        return self.judge.fingerprint

    def score(
        self,
        prompts: Prompts,
        answers: Sequence[str],
        references: Sequence[str | None] | None = None,
        constraints: Constraints | None = None,
    ) -> list[Judgment]:
        """Return the judgment of each answer, in order. A judgment without a score has the reason in `error`.

        `constraints` are for a judge with tools, whose evidence says which are followed. Equal answers to equal prompts
        are judged once. Raises InputError, before anything is asked, if something else is given than lists of texts or
        chats, one of each.
        """
        texts = _texts(prompts, {"answers": answers}, references)
        forms = _forms(constraints, len(texts.prompts))
        rows = zip(texts.prompts, texts.answers["answers"], texts.references, forms, strict=True)
        responses = [response_of(*columns) for columns in rows]
        once = list({response.id: response for response in responses}.values())
        judgments = {judgment.response_id: judgment for judgment in _settled(lambda: self._judged(once))}
        return [judgments[response.id] for response in responses]

    def compare(
        self,
        prompts: Prompts,
        firsts: Sequence[str],
        seconds: Sequence[str],
        references: Sequence[str | None] | None = None,
    ) -> list[Comparison]:
        """Return the comparison of each two answers, in order, asked in both orders. Raises as `score` does.

        A judge with tools compares by its rubric alone.
        """
        texts = _texts(prompts, {"firsts": firsts, "seconds": seconds}, references)
        sides = zip(texts.answers["firsts"], texts.answers["seconds"], strict=True)
        contests = [
            pairwise.Contest(content_key("prompt", prompt), prompt, *both, "a", "b", reference)
            for prompt, both, reference in zip(texts.prompts, sides, texts.references, strict=True)
        ]
        once = list({content_key(contest): contest for contest in contests}.values())
        comparisons = {
            comparison.id: comparison for comparison in _settled(lambda: pairwise.compare(self.judge, once, ()))
        }
        return [comparisons[pairwise.comparison_id(self.judge, contest)] for contest in contests]

    async def ascore(
        self,
        prompts: Prompts,
        answers: Sequence[str],
        references: Sequence[str | None] | None = None,
        constraints: Constraints | None = None,
    ) -> list[Judgment]:
        """Return what `score` returns, without holding up the event loop."""
        return await asyncio.to_thread(self.score, prompts, answers, references, constraints)

    async def acompare(
        self,
        prompts: Prompts,
        firsts: Sequence[str],
        seconds: Sequence[str],
        references: Sequence[str | None] | None = None,
    ) -> list[Comparison]:
        """Return what `compare` returns, without holding up the event loop."""
        return await asyncio.to_thread(self.compare, prompts, firsts, seconds, references)

    def _judged(self, responses: Sequence[Response]) -> Iterator[Judgment]:
        return judge_checked(self.judge, self.agent, responses) if self.agent else self.judge.judge(responses)


def response_of(
    prompt: str | list[Message],
    answer: str,
    reference: str | None = None,
    constraints: list[Constraint] | None = None,
) -> Response:
    """Return one answer as the row that a judge reads."""
    return Response(
        id=content_key("response", prompt, answer, reference, *([constraints] if constraints else [])),
        prompt_id=content_key("prompt", prompt),
        prompt=prompt,
        response=answer,
        model=UNNAMED,
        reference=reference,
        constraints=constraints,
    )


def listed(values: Any, name: str) -> list[Any]:
    """Return texts or chats as a list. Raises InputError for a single text, which would be taken letter by letter."""
    if isinstance(values, str | bytes | Mapping | Set) or not isinstance(values, Iterable):
        kind = type(values).__name__
        raise InputError(f"'{name}' must be a list, one for each prompt, found {kind}: put a single one in brackets")
    return list(values)


@dataclass(frozen=True)
class _Texts:
    """The judged texts: lists of one length."""

    prompts: list[str | list[Message]]
    answers: dict[str, list[str]]
    """By the name of the argument."""
    references: list[str | None]


def _texts(prompts: Prompts, answers: Mapping[str, Iterable[str]], references: Sequence[str | None] | None) -> _Texts:
    """Return the judged texts. Raises InputError if the lists do not match."""
    given = {"prompts": listed(prompts, "prompts")} | {name: listed(column, name) for name, column in answers.items()}
    if references is not None:
        given["references"] = listed(references, "references")
    lengths = {name: len(values) for name, values in given.items()}
    if len(set(lengths.values())) > 1:
        raise InputError(f"one of each is needed: {', '.join(f'{n} {name}' for name, n in lengths.items())}")
    rights = given.get("references", [None] * len(given["prompts"]))
    return _Texts(
        [_prompt(prompt, f"prompts[{n}]") for n, prompt in enumerate(given["prompts"])],
        {name: [_answer(answer, f"{name}[{n}]") for n, answer in enumerate(given[name])] for name in answers},
        [_reference(right, f"references[{n}]") for n, right in enumerate(rights)],
    )


def _prompt(prompt: object, name: str) -> str | list[Message]:
    return chat_in(prompt, name) if isinstance(prompt, list) else _text(prompt, name)


def _answer(answer: object, name: str) -> str:
    """Return an answer as text: itself, or that of a chat's only turn, as TRL has it."""
    if not isinstance(answer, list):
        return _text(answer, name)
    chat = chat_in(answer, name)
    if [turn["role"] for turn in chat] != ["assistant"]:
        raise InputError(f"'{name}' must be text or one assistant message, found {len(chat)} messages")
    return chat[0]["content"]


def _forms(constraints: Constraints | None, n: int) -> list[list[Constraint] | None]:
    """Return the constraints of each prompt. Raises InputError if there is not one list, or None, for each."""
    given = [None] * n if constraints is None else listed(constraints, "constraints")
    if len(given) != n:
        raise InputError(f"one of each is needed: {n} prompts, {len(given)} constraints")
    return [None if form is None else _form(form, f"constraints[{place}]") for place, form in enumerate(given)]


def _form(given: object, name: str) -> list[Constraint]:
    items = [msgspec.to_builtins(item) for item in listed(given, name)]
    return own_constraints(items, name) or []


def _reference(right: object, name: str) -> str | None:
    return None if right is None else _text(right, name)


def _text(text: object, name: str) -> str:
    if not isinstance(text, str):
        raise InputError(f"'{name}' must be text, found {type(text).__name__}")
    return text_in(text, name, empty=True)


def _setting(name: str, value: object, kind: Any) -> Any:
    """Return the value of a setting. Raises InputError if the flag of that name does not take it."""
    try:
        given = str(value) if isinstance(value, Path) else value
        return msgspec.convert(given, kind, dec_hook=lambda path_type, text: path_type(text))
    except msgspec.ValidationError as error:
        words = ", ".join(sorted(map(repr, _words(kind))))
        raise InputError(f"{name} = {value!r}: {f'must be one of {words}' if words else error}") from None


def _words(kind: Any) -> tuple[Any, ...]:
    """Return the words that a setting can be, if it is a choice."""
    if get_origin(kind) is Literal:
        return get_args(kind)
    return tuple(word for choice in get_args(kind) for word in _words(choice))


def _settled(asked: Callable[[], Iterator[RowT]]) -> list[RowT]:
    """Return all rows. They are asked for again if the engine learns meanwhile what its server refuses."""
    while True:
        try:
            return list(asked())
        except StartAgain as again:
            say(f"{again}: asking again")
