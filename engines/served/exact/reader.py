"""Reads how likely each choice is over the whole vocabulary, from a server of vLLM (0.32 and later).

The reading is that of a model in process: the same tokens before the choice, the same tree of choices of several
tokens. A conversation is turned into tokens by the server, whose chat template is the model's, and each question of the
tree is one completion of one token after them.
"""

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Any

from console.address import shown
from console.errors import EngineError
from console.progress import say
from engines.chat.neutral import COMMON_SPECIAL_TOKENS, neutralised
from engines.choice_tokens.tree import ChoiceTree
from engines.protocol import Choice, NoLogprobsError, Request, any_answered
from engines.served.choices.reading import NoLogprobs, NoReading
from engines.served.exact.beginning import Beginning, Opened, OtherEnding, beginning_of
from engines.served.exact.probe import (
    COMPLETIONS,
    TOKENIZE,
    NotExact,
    chat_body,
    probed,
    reading_body,
    text_body,
)
from engines.served.exact.replies import Tokenized, lacks_ids, logprobs_of_ids
from engines.served.openai_calls import MAX_FAILURES_IN_ROW, Ask, Call, ServedCalls, Step
from engines.served.replies.chat_reply import decode

LACKS = "it does not give the log-probabilities of the tokens asked for, as vLLM 0.32 and later do"


class _Failed(Exception):  # noqa: N818 (nothing is wrong with the program)
    """A call that a row needs failed. The message is the row's error."""


@dataclass
class _Cost:
    """What the calls for one row took."""

    usage: dict[str, Any] = field(default_factory=lambda: {"n_calls": 0})

    def add(self, call: Call, *, is_of_model: bool) -> None:
        """Count a call. One that asks no model is counted only as far as it failed."""
        took = call.usage if is_of_model else call.usage | {"n_calls": call.usage.get("n_failed", 0)}
        self.usage = {name: self.usage.get(name, 0) + took.get(name, 0) for name in {**self.usage, **took}}


@dataclass
class ExactReader:
    """A model whose server reads given tokens."""

    name: str
    variables: Mapping[str, Any]
    """Those of the chat template."""
    calls: ServedCalls
    opened: Opened
    n_without: int = field(default=0, init=False)
    """The number of replies in a row without the tokens asked for."""
    answered_before: bool = field(default=True, init=False)
    _beginnings: dict[tuple[str, tuple[str, ...]], Beginning] = field(default_factory=dict, init=False)
    """By the words before the choice, and the choices."""

    def choose(self, requests: Sequence[Request], choices: Sequence[str], done: Collection[int]) -> Iterator[Choice]:
        """Yield log-probabilities of `choices` after each request's `prefill`. See `engines.protocol.Engine`.

        Raises EngineError if the choices cannot be told apart by their tokens, NoLogprobsError if the server stops
        listing the tokens asked for.
        """
        self.answered_before = any_answered(done)
        learning = asyncio.Lock()
        todo = (index for index in range(len(requests)) if index not in done)

        async def talk(index: int, ask: Ask) -> Choice:
            return await self._read(index, requests[index], choices, ask, learning)

        yield from (choice for _, choice in self.calls.talks(todo, talk, resumed=bool(done)))

    async def _read(
        self, index: int, request: Request, choices: Sequence[str], ask: Ask, learning: asyncio.Lock
    ) -> Choice:
        cost = _Cost()
        try:
            async with learning:  # the first rows wait for one of them
                beginning = await self._beginning(request.prefill, choices, ask, cost)
            conversation = await self._tokens(ask, cost, partial(self._conversation, request))
            sequence = beginning.after(conversation.tokens)
            logprobs = await self._logprobs(sequence, beginning, conversation.context, ask, cost)
        except (_Failed, OtherEnding, NoReading) as why:
            return Choice(index, (), error=str(why), **cost.usage)
        return Choice(index, logprobs, **cost.usage)

    async def _logprobs(
        self, sequence: list[int], beginning: Beginning, context: int, ask: Ask, cost: _Cost
    ) -> tuple[float, ...]:
        n_new = max(map(len, beginning.paths))
        if len(sequence) + n_new > context:
            what = f"too long: {len(sequence)} tokens and {n_new} to write, over the model's context of {context}"
            raise _Failed(what)
        tree = ChoiceTree(beginning.paths)
        found = None
        for number, question in enumerate(tree.questions):  # in turn, so that each finds the prompt in the cache
            body = partial(reading_body, self.name, [*sequence, *question.node], question.ids)
            call = await ask(body, Step(COMPLETIONS, decode, partial(lacks_ids, ids=question.ids)))
            cost.add(call, is_of_model=True)
            if call.reply is None:
                raise _Failed(call.error)
            found = tree.add(0, number, self._given(call.reply, question.ids), 0.0)
        assert found is not None
        return found[0]

    def _given(self, reply: Any, ids: Sequence[int]) -> dict[int, float]:
        try:
            given = logprobs_of_ids(reply, ids)
        except NoLogprobs as why:
            self.n_without += 1
            if self.n_without > MAX_FAILURES_IN_ROW:
                raise NoLogprobsError(f"{self.name}: {why}") from None
            raise
        self.n_without = 0
        return given

    async def _beginning(self, words: str, choices: Sequence[str], ask: Ask, cost: _Cost) -> Beginning:
        key = (words, tuple(choices))
        if key not in self._beginnings:
            tokens_after = {}
            for ending in ("", *choices):
                body = partial(text_body, self.name, self.opened.text + words + ending)
                tokens_after[ending] = (await self._tokens(ask, cost, body)).tokens
            self._beginnings[key] = beginning_of(self.opened, choices, tokens_after)
        return self._beginnings[key]

    def _conversation(self, request: Request) -> dict[str, Any]:
        return chat_body(self.name, neutralised(request.messages, COMMON_SPECIAL_TOKENS), self.variables)

    async def _tokens(self, ask: Ask, cost: _Cost, body: Any) -> Tokenized:
        call = await ask(body, TOKENIZE)
        cost.add(call, is_of_model=False)
        if call.reply is None:
            raise _Failed(call.error)
        found: Any = call.reply
        tokenized: Tokenized = found
        return tokenized


def exact_reader(name: str, variables: Mapping[str, Any], chat: ServedCalls) -> ExactReader | None:
    """Return what reads the choices exactly at the servers of `chat`, or None if none of them does so.

    Each server is asked now. Those that do not are left out if another one does. Raises EngineError if that cannot be
    found out now, because another reading would be another measuring stick.
    """
    found = chat.of_each(chat.accounts, lambda connection: probed(connection, name, variables))
    opened = [one for one in found if isinstance(one, Opened)]
    why_not = {place: one for place, one in enumerate(found) if isinstance(one, NotExact)}
    if not opened:
        servers = [shown(account.server) for account in chat.accounts]
        told = chat.hide("; ".join(f"{servers[place]}: {one.why}" for place, one in why_not.items()))
        if any(one.may_pass and one.is_vllm for one in why_not.values()):
            what = "cannot find out now whether the server reads the log-probabilities of given tokens"
            raise EngineError(f"{name}: {what} ({told}); the same command tries again")
        _say_listed(name, told)
        return None
    # The model's name was compared already, for its identity.
    calls = replace(chat, model=None, path=COMPLETIONS, what_lacks=LACKS)
    calls.leave_out({place: chat.hide(one.why) for place, one in why_not.items() if not one.may_pass})
    reader = ExactReader(name, variables, calls, opened[0])
    calls.refused, calls.answered_before = lambda *_: False, lambda: reader.answered_before
    return reader


@cache  # once for a command that opens several engines
def _say_listed(name: str, told: str) -> None:
    say(f"{name}: log-probabilities are read from the likeliest tokens of a reply, not from all tokens ({told})")
