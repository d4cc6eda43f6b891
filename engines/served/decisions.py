"""Asks a decision endpoint: OpenAI's, vLLM's, SGLang's, or that of `python -m judges.serve`.

It answers questions about an input with the probabilities of their options, and writes no text. Sources: openai 3.52.0,
types/decision.py. vLLM 0.33, entrypoints/openai/decisions/{protocol,adapters,strategies}.py. SGLang eea1942 (2026-10),
entrypoints/openai/{protocol,serving_decisions}.py, which has a form of its own under the same path.
"""

import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import msgspec

from console.errors import EngineError, InputError
from engines.chat.neutral import COMMON_SPECIAL_TOKENS, neutralise
from engines.protocol import Choice, Completion, Question, Request, Sampling, any_answered
from engines.served.http_call import CallFailed
from engines.served.identity import ServedModel
from engines.served.openai_calls import Call, Calls, ServedCalls
from engines.served.replies.body import KEPT_CHARS, BrokenReply, parse_body
from engines.served.replies.chat_reply import Tokens, tokens_of
from engines.served.replies.failures import may_pass, said_of_error, says_something, status_of
from records.keys import content_key
from records.rows import text_of

OFFICIAL_LIMITS = (400, 255)
"""The most questions in a call and options of a question at OpenAI."""
LIMITS = (64, 26)
"""The same at vLLM and SGLang, which label options with the letters, each a token of its own."""
ROUNDING = 0.02
"""So far the probabilities of all options may be from 1."""
WITHOUT = {404, 405, 501}
"""The statuses of a server that has no such endpoint, or none for the model."""
OTHER_FORM = re.compile(rb"yes_no|questions\b.*\bid\b", re.DOTALL)
"""Words in a refusal by SGLang, whose questions have an `id`."""
REMEDY = "use --read logprobs, which reads them from chat completions"
Form = Literal["openai", "sglang"]


class NoDecision(Exception):  # noqa: N818  (nothing is wrong with the program)
    """A question has no answer that can be read."""


class Decided(msgspec.Struct, frozen=True):
    """The body of a reply."""

    choices: tuple[list[Any] | dict[str, Any]]
    """The answers, in the order of the questions or by their ids."""
    usage: Tokens = Tokens()


@dataclass
class DecisionEngine:
    """A model behind a decision endpoint. All questions about a text are one call."""

    name: str
    model: ServedModel
    calls: Calls
    is_official: bool
    form: Form = "openai"
    answered: bool = field(default=False, init=False)
    """True once a call was answered."""
    answered_before: bool = field(default=True, init=False)

    @property
    def digest(self) -> str:
        """Identify the model."""
        return content_key("decisions", self.model.identity)

    @property
    def digest_by_name(self) -> str:
        """Return the digest of this engine if its server does not describe its model."""
        return content_key("decisions", self.model.by_name)

    def check_reached(self) -> None:
        """Raise EngineError if the server cannot be reached."""
        if isinstance(self.calls, ServedCalls):
            self.calls.check_reached()

    def check_limits(self, n_questions: int, n_options: int) -> None:
        """Raise InputError if a call would have more questions, or a question more options, than the endpoint takes."""
        limits, whose = (OFFICIAL_LIMITS, "OpenAI's") if self.is_official else (LIMITS, "vLLM's and SGLang's")
        for n, most, what in zip((n_questions, n_options), limits, ("questions", "options"), strict=True):
            if n > most:
                raise InputError(f"--read decisions: the rubric makes {n} {what}, and {whose} endpoints take {most}")

    def generate(
        self, requests: Sequence[Request], sampling: Sampling, done: Collection[int] = ()
    ) -> Iterator[Completion]:
        """Raise EngineError: a decision endpoint writes no text."""
        raise EngineError(f"{self.name}: a decision endpoint writes no text; leave out --read decisions")
        yield

    def choose(
        self, requests: Sequence[Request], choices: Sequence[str], done: Collection[int] = ()
    ) -> Iterator[Choice]:
        """Yield the log-probabilities of `choices` for each question, those about one text from one call.

        The first choice of a call has its whole cost. Raises EngineError if the server takes no decisions.
        """
        if not len(requests):
            return
        n = _question(requests[0]).of
        self.answered_before = any_answered(done)

        def asked(start: int) -> list[int]:
            return [index for index in range(start, min(start + n, len(requests))) if index not in done]

        def body(start: int) -> dict[str, Any]:
            return self._body([requests[index] for index in asked(start)], choices)

        starts = (start for start in range(0, len(requests), n) if asked(start))
        for start, call in self.calls(starts, body, resumed=bool(done)):
            self.answered |= call.reply is not None
            usage: Mapping[str, Any] = call.usage
            for place, index in enumerate(asked(start)):
                yield _choice(index, place, call, _question(requests[index]), choices, usage, official=self.is_official)
                usage = {"n_calls": 0}

    def refused(self, failed: CallFailed, sent: Mapping[str, Any]) -> bool:
        """Return whether to ask in the server's other form. Raises EngineError if it takes no decisions at all."""
        if failed.status in WITHOUT and not self.answered:
            raise EngineError(f"{self.name}: the server takes no decisions of it ({failed.reason}); {REMEDY}")
        is_openai = "id" not in sent["questions"][0]
        if failed.status not in (400, 422) or not is_openai or not OTHER_FORM.search(failed.body):
            return False
        if self.form == "openai" and self.answered:
            return False
        self.form = "sglang"  # other calls that were under way may be refused after the first answer to this form
        return True

    def _body(self, requests: Sequence[Request], choices: Sequence[str]) -> dict[str, Any]:
        text = neutralise(text_of(requests[0].messages), COMMON_SPECIAL_TOKENS)
        form = _openai_question if self.form == "openai" else _sglang_question
        questions = [form(place, _question(request), choices) for place, request in enumerate(requests)]
        return {"model": self.name, "input": text, "questions": questions}


def decision_engine(name: str, model: ServedModel, chat: Calls) -> DecisionEngine:
    """Return the engine that asks the decision endpoint of the server at which `chat` asks for completions.

    Raises InputError if `chat` asks no server.
    """
    if not isinstance(chat, ServedCalls):
        raise InputError("--read decisions: a batch holds chat completions; give --read text")
    calls = replace(chat, path="/decisions", decode=decode)
    engine = DecisionEngine(name, model, calls, calls.account.is_official)
    calls.refused, calls.answered_before = engine.refused, lambda: engine.answered_before
    return engine


def decode(data: bytes) -> Decided:
    """Return the answers in a body. Raises BrokenReply if it has none."""
    body = parse_body(data)
    if not isinstance(body, dict):
        raise BrokenReply(f"the reply is no decision, but {type(body).__name__}")
    answers, usage = body.get("answers"), tokens_of(body.get("usage"))
    if isinstance(answers, list | dict):
        return Decided((answers,), usage)
    if says_something(body.get("error")) or says_something(body.get("message")):
        status = status_of(body)
        raise BrokenReply(said_of_error(body, status), status=status, may_pass=may_pass(status))
    raise BrokenReply(f"the reply has no answers: {str(body)[:KEPT_CHARS]}")


def _question(request: Request) -> Question:
    if request.question is None:
        raise EngineError("a decision endpoint is asked by a rubric alone; leave out --read decisions")
    return request.question


def _openai_question(_: int, question: Question, choices: Sequence[str]) -> dict[str, Any]:
    asked: dict[str, Any] = {"type": question.kind, "instructions": question.instructions}
    if question.kind == "choice":
        asked["choices"] = [{"value": choice} for choice in choices]
    elif question.kind == "score":
        asked["levels"] = [{"label": choice} for choice in choices]
    return asked


def _sglang_question(place: int, question: Question, choices: Sequence[str]) -> dict[str, Any]:
    asked: dict[str, Any] = {"id": f"q{place}", "question": question.instructions}
    if question.kind == "predicate":
        return asked | {"type": "yes_no"}
    # Its scores number the levels from 0, which a scale that begins with 1 would confuse.
    return asked | {"type": "choice", "options": [{"name": choice} for choice in choices]}


def _choice(
    index: int,
    place: int,
    call: Call,
    question: Question,
    choices: Sequence[str],
    usage: Mapping[str, Any],
    *,
    official: bool,
) -> Choice:
    if call.reply is None:
        return Choice(index, (), error=call.error, **usage)
    answers: Any = call.reply
    try:
        answer = answers[place] if isinstance(answers, list) else answers[f"q{place}"]
        probabilities, mass = read_answer(answer, question, choices, official=official)
    except (IndexError, KeyError):
        return Choice(index, (), error="broken reply: it has no answer to this question", **usage)
    except NoDecision as why:
        return Choice(index, (), error=str(why), **usage)
    shares = [p * (1.0 if mass is None else mass) for p in probabilities]
    logs = tuple(math.log(share) if share > 0 else -math.inf for share in shares)
    return Choice(index, logs, has_mass=mass is not None, **usage)


def read_answer(
    answer: object, question: Question, choices: Sequence[str], *, official: bool
) -> tuple[list[float], float | None]:
    """Return the probabilities of `choices`, which sum to 1, and their mass among all tokens, or None if not told.

    vLLM's confidence is the probability of the likeliest option times the mass (adapters.py:make_answer). What OpenAI's
    own means is not documented. Raises NoDecision for a refusal and for an answer that is none.
    """
    if not isinstance(answer, dict):
        raise NoDecision("broken reply: an answer is no object")
    if answer.get("type") == "refusal":
        why = answer.get("error")
        raise NoDecision(f"refused: {why}" if why else "refused: the model declined to answer this question")
    found = _by_choice(answer, question)
    try:
        values = [float(found[choice]) for choice in choices]
    except (KeyError, TypeError, ValueError):
        raise NoDecision("broken reply: an option has no probability") from None
    total = math.fsum(values)
    if not all(0 <= value <= 1 + ROUNDING for value in values) or not abs(total - 1) <= ROUNDING:
        raise NoDecision(f"broken reply: the probabilities of all options are {total:.3f}, not 1")
    probabilities = [value / total for value in values]
    mass, confidence = answer.get("label_mass"), answer.get("confidence")
    is_vllm = not official and "label_mass" not in answer  # a null there says that the mass is not known
    if is_vllm and question.kind != "predicate" and isinstance(confidence, int | float):
        mass = confidence / max(probabilities)
    if not isinstance(mass, int | float) or not 0 <= mass <= 1 + ROUNDING:
        return probabilities, None
    return probabilities, min(float(mass), 1.0)


def _by_choice(answer: Mapping[str, Any], question: Question) -> dict[str, Any]:
    """Return what an answer gives each choice, whichever of the forms it has."""
    listed = answer.get("probabilities")
    if isinstance(listed, dict):  # SGLang's, by the option's name
        return listed
    if question.kind == "predicate":
        yes = answer.get("probability")
        return {"yes": yes, "no": 1 - yes if isinstance(yes, int | float) else None}
    if not isinstance(listed, list):
        return {}
    key = "label" if question.kind == "score" else "value"
    return {str(option.get(key)): option.get("probability") for option in listed if isinstance(option, dict)}
