"""Asks any OpenAI-compatible server: makes what is sent, and reads what comes back."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, combinations, product
from typing import Any

from console.address import shown
from console.again import StartAgain, asks_nothing, is_by_batch, learned, reads_rows
from console.errors import EngineError, InputError
from console.progress import say
from engines.advice import names_no_choice
from engines.chat.neutral import COMMON_SPECIAL_TOKENS, neutralised
from engines.chat.template import checked_kwargs, with_kwargs
from engines.protocol import Choice, ChoicesFrom, Completion, NoLogprobsError, Request, Sampling, any_answered
from engines.served.account import Account
from engines.served.choices.reading import (
    TOP_LOGPROBS,
    BrokenTokens,
    NoLogprobs,
    NoReading,
    choice_settings,
    read_choices,
)
from engines.served.decisions import DecisionEngine, decision_engine
from engines.served.exact.reader import ExactReader, exact_reader
from engines.served.http_call import CallFailed, Limits
from engines.served.identity import ServedModel
from engines.served.listed import most_listed, refuses_number
from engines.served.openai_calls import MAX_FAILURES_IN_ROW, Call, Calls, ServedCalls
from engines.served.outage import FIRST_CALLS
from engines.served.parameters import (
    LIMITS,
    NEEDED,
    OPTIONAL,
    Parameters,
    RefusedError,
    more_listed_than,
    refusal_of,
)
from engines.served.replies.chat_reply import ChatReply, no_text
from records.keys import content_key

LOGPROBS = ("logprobs", "top_logprobs")
WITHOUT_SCHEMA = "use --read text, or a server that has structured outputs"


@dataclass
class OpenAIEngine:
    """A model behind a server. A call that fails after its retries is a result with an error, never a text."""

    name: str
    model: ServedModel
    calls: Calls
    parameters: Parameters
    chat_template_kwargs: Mapping[str, Any] = field(default_factory=dict)
    """Variables of the model's chat template, which vLLM, SGLang and others take."""
    thinking_tokens: int = 0
    """Room for reasoning before each reply, besides that for the reply itself."""
    gives_logprobs: bool = field(default=False, init=False)
    """True once a reply had log-probabilities. Until then replies without them are the server's fault."""
    n_without: int = field(default=0, init=False)
    """The number of replies without them in a row."""
    n_choices: int = field(default=0, init=False)
    """The number of choices that are read now."""
    answered: bool = field(default=False, init=False)
    """True once a reply had a text."""
    answered_before: bool = field(default=True, init=False)
    """True if one of the requests that the current call leaves out was answered."""

    @cached_property
    def exact(self) -> ExactReader | None:
        """What reads choices over the whole vocabulary, if the server does so (`exact_reader`), asked at most once.

        None with room for reasoning too, which comes before a choice that a reply names.
        """
        if not isinstance(self.calls, ServedCalls) or self.thinking_tokens or is_by_batch() or not reads_rows():
            return None
        if any(account.is_official or account.deployment is not None for account in self.calls.accounts):
            return None
        return exact_reader(self.name, self.chat_template_kwargs, self.calls)

    @property
    def choosing(self) -> ChoicesFrom:
        """Where the log-probabilities of choices come from."""
        return "reply" if self.exact is None else "vocabulary"

    @property
    def digest(self) -> str:
        """Identify what changes a reply: the model, the parameters that it is not sent, the room to think.

        Rows carry it, so from here on another refused parameter makes the command start again.
        """
        self.parameters.are_told = True
        return self._digest_without(self.parameters.not_sent)

    @property
    def digests_with_less(self) -> list[str]:
        """Return the digests of this engine if its server refuses more parameters than are known yet."""
        rest = [name for name in OPTIONAL if name not in self.parameters.left_out]
        fewer = [(), *((more_listed_than(n),) for n in range(TOP_LOGPROBS))]
        # Every subset, the empty one too: at most 16, times the 21 numbers of listed tokens.
        more = chain.from_iterable(combinations(rest, n) for n in range(len(rest) + 1))
        less = (names + listed for names, listed in product(more, fewer) if names or listed)
        return [self._digest_without(tuple(sorted({*self.parameters.not_sent, *names}))) for names in less]

    def check_reached(self) -> None:
        """Raise EngineError if the server cannot be reached, for a command that has hours of other work to do first."""
        if isinstance(self.calls, ServedCalls):
            self.calls.check_reached()

    @property
    def digest_by_name(self) -> str:
        """Return the digest of this engine if its server does not describe its model."""
        return self._digest_without(self.parameters.not_sent, self.model.by_name)

    def _digest_without(self, not_sent: tuple[str, ...], identity: str = "") -> str:
        more, identity = (not_sent, self.thinking_tokens), identity or self.model.identity
        plain = identity if more == ((), 0) else content_key(identity, *more)
        return with_kwargs(plain, self.chat_template_kwargs)

    def deciding(self) -> DecisionEngine:
        """Return the engine that asks the same model through its server's decision endpoint."""
        return decision_engine(self.name, self.model, self.calls)

    def generate(
        self, requests: Sequence[Request], sampling: Sampling, done: Collection[int] = ()
    ) -> Iterator[Completion]:
        """Yield completions as calls return. See `engines.protocol.Engine`."""
        settings: dict[str, Any] = {
            "max_tokens": sampling.max_new_tokens + self.thinking_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
        }
        if sampling.stop:
            settings["stop"] = list(sampling.stop)
        for index, call in self._ask(requests, done, lambda *_: settings):
            if call.reply is None:
                yield Completion(index, "", None, error=call.error, **call.usage)
            elif reason := no_text(call.reply, self.thinking_tokens):
                yield Completion(index, "", None, error=reason, **call.usage)
            else:
                self.answered = True
                text, finish_reason = call.reply.message.content or "", call.reply.finish_reason
                if sampling.stop and "stop" in self.parameters.left_out:
                    text, finish_reason = stopped(text, finish_reason, sampling.stop)
                yield Completion(index, text, finish_reason, **call.usage)

    def choose(
        self, requests: Sequence[Request], choices: Sequence[str], done: Collection[int] = ()
    ) -> Iterator[Choice]:
        """Yield log-probabilities of `choices` at the first one in the reply. See `engines.protocol.Engine`.

        A server of vLLM is asked for them after the request's `prefill` (`exact`). Others have no common way to force
        the first words of a reply, so there the prompt has to ask for a reply that reaches its choice within a few
        tokens, after one of the request's `labels`. `read_choices` describes that reading.
        """
        if self.exact is not None:
            yield from self.exact.choose(requests, choices, done)
            return
        pending: dict[int, Asked] = {}

        def settings(index: int, request: Request) -> dict[str, Any]:
            pending[index] = Asked.of(request)  # in the thread of the calls, before the reply can come
            call = choice_settings(choices, request.labels, request.alone)
            return call | {"max_tokens": call["max_tokens"] + self.thinking_tokens}

        self.n_choices = len(choices)
        without: list[tuple[int, Call, Asked]] = []  # the first replies, as long as none has log-probabilities
        self.gives_logprobs |= bool(done)  # those that are done were read from log-probabilities
        for index, call in self._ask(requests, done, settings):
            how = pending.pop(index, None) or Asked.of(requests[index])  # or the reply is from a file
            try:
                yield self._choice(index, call, choices, how)
            except NoLogprobs as why:
                without.append((index, call, how))
                if len(without) == FIRST_CALLS or self.gives_logprobs:
                    raise NoLogprobsError(f"{self.name}: {why}") from None
            if self.gives_logprobs:
                yield from (self._choice(index, call, choices, how) for index, call, how in without)
                without.clear()
        for index, call, how in without:
            try:
                yield self._choice(index, call, choices, how)
            except NoLogprobs as why:
                raise NoLogprobsError(f"{self.name}: {why}") from None

    def _choice(self, index: int, call: Call, choices: Sequence[str], how: "Asked") -> Choice:
        if call.reply is None:
            return Choice(index, (), error=call.error, **call.usage)
        has_tokens = call.reply.logprobs is not None and call.reply.logprobs.content
        if (reason := no_text(call.reply, self.thinking_tokens)) and (call.reply.message.refusal or not has_tokens):
            return Choice(index, (), error=reason, **call.usage)
        try:
            logprobs = read_choices(
                call.reply,
                choices,
                how.labels,
                alone=how.alone,
                agrees=how.agrees,
                thinking_tokens=self.thinking_tokens,
            )
        except NoLogprobs as why:
            self.n_without += 1
            if not self.gives_logprobs or self.n_without > MAX_FAILURES_IN_ROW:
                raise
            return Choice(index, (), error=str(why), **call.usage)
        except BrokenTokens as why:
            self.gives_logprobs = True
            return Choice(index, (), error=str(why), **call.usage)
        except NoReading as why:
            error, logprobs = str(why), None
        else:
            error = names_no_choice(call.reply.message.content or "")
        self.gives_logprobs, self.n_without = True, 0
        if logprobs is not None:
            return Choice(index, logprobs, **call.usage)
        text = call.reply.message.content or None
        return Choice(index, (), error=error, text=text, finish_reason=call.reply.finish_reason, **call.usage)

    def _ask(
        self, requests: Sequence[Request], done: Collection[int], settings: Callable[[int, Request], dict[str, Any]]
    ) -> Iterator[tuple[int, Call]]:
        def body(index: int) -> dict[str, Any]:
            request = requests[index]
            return self._body(request, settings(index, request))

        self.answered_before = any_answered(done)
        return self.calls((index for index in range(len(requests)) if index not in done), body, resumed=bool(done))

    def _body(self, request: Request, settings: dict[str, Any]) -> dict[str, Any]:
        body = {
            "model": self.name,
            "messages": neutralised(request.messages, COMMON_SPECIAL_TOKENS),
            "seed": request.seed,
            **settings,
        }
        if self.chat_template_kwargs:
            body["chat_template_kwargs"] = dict(self.chat_template_kwargs)
        if request.schema is not None:
            schema = {"name": "verdict", "schema": request.schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return self.parameters.applied(body)

    def refused(self, failed: CallFailed, sent: Mapping[str, Any]) -> bool:
        """Leave out the parameters that a failed call names as refused, and return whether to make the call anew.

        Raises StartAgain if names and rows already depend on the parameters, EngineError if a reading needs a refused
        one, because the measuring stick is never changed in silence.
        """
        most = most_listed(failed.status, failed.body, sent.get("top_logprobs"))
        # a call that was under way when the limit became known may be refused after others have been answered
        if most is not None and (not self.gives_logprobs or self.parameters.asks_fewer_than(sent["top_logprobs"])):
            return self._lists_only(most, failed)
        names = refusal_of(failed.status, failed.body, sent)
        is_first = not names and "top_logprobs" in sent and not self.gives_logprobs
        if is_first and refuses_number(failed.status, failed.body):
            why = f"the server does not list {sent['top_logprobs']} tokens ({failed.reason})"
            raise NoLogprobsError(f"{self.name}: {why}")
        if not names or (
            self.answered if "response_format" in names else self.gives_logprobs and set(NEEDED) & set(names)
        ):
            return False  # what others were answered with is not refused for all
        try:
            new = self.parameters.learn(names, sent)
        except RefusedError as refused:
            if refused.name == "response_format":
                why = f"the server takes no JSON schema ({failed.reason}); {WITHOUT_SCHEMA}"
                raise EngineError(f"{self.name}: {why}") from None
            if refused.name in NEEDED:
                why = f"the server gives no log-probabilities ({failed.reason})"
                raise NoLogprobsError(f"{self.name}: {why}") from None
            return False
        if new and self.parameters.are_told and new - set(LIMITS):
            raise StartAgain(self._told(new, failed), self.parameters.about, self.parameters.learned)
        if new:
            say(self._told(new, failed))
        return True

    def _lists_only(self, most: int, failed: CallFailed) -> bool:
        """Ask for fewer listed tokens if they can still hold all choices. Otherwise there is no such reading."""
        if most < self.n_choices:
            what = f"the server lists {most} tokens at most, too few for the {self.n_choices} choices ({failed.reason})"
            raise NoLogprobsError(f"{self.name}: {what}")
        new = self.parameters.learn_most_listed(most)
        told = f"{self.name}: the server lists {most} tokens at most ({failed.reason}); it is asked for so many"
        if new and self.parameters.are_told:
            raise StartAgain(told, self.parameters.about, self.parameters.learned)
        if new:
            say(told)
        return True

    def _told(self, new: Collection[str], failed: CallFailed) -> str:
        what = ", ".join(sorted(new))
        instead = f"{self.parameters.limit} is sent in its place" if set(new) <= set(LIMITS) else "left out from now on"
        return f"{self.name}: the server refuses {what} ({failed.reason}); {instead}"


def lacks_logprobs(found: ChatReply | CallFailed) -> bool:
    """Return whether a reply with a text has no log-probabilities, or a failed call was refused for asking for them."""
    if isinstance(found, CallFailed):
        return bool(refusal_of(found.status, found.body, LOGPROBS))
    [reply] = found.choices
    tokens = (reply.logprobs and reply.logprobs.content) or []
    return no_text(reply) is None and not any(token.top_logprobs for token in tokens)


@dataclass(frozen=True)
class Asked:
    """The part of a request that is kept until its reply: the rules to read its choice, without the texts."""

    labels: tuple[str, ...]
    alone: bool
    agrees: Callable[[str, str], bool] | None

    @staticmethod
    def of(request: Request) -> "Asked":
        """Return the part of `request` that is kept."""
        return Asked(request.labels, request.alone, request.agrees)


def stopped(text: str, finish_reason: str | None, stops: Sequence[str]) -> tuple[str, str | None]:
    """Return `text` up to the first of `stops`, as a server would have cut it, and why it then ended."""
    ends = [end for stop in stops if (end := text.find(stop)) >= 0]
    return (text[: min(ends)], "stop") if ends else (text, finish_reason)


def open_openai(
    model: str,
    base_url: str | None,
    api_key_env: str,
    concurrency: int,
    limits: Limits | None = None,
    max_failures_in_row: int = MAX_FAILURES_IN_ROW,
    chat_template_kwargs: Mapping[str, Any] | None = None,
    *,
    omit: Collection[str] = (),
    thinking_tokens: int = 0,
    served_as: str | None = None,
) -> OpenAIEngine:
    """Return the engine for a model at `base_url`, else at the environment's server, else at OpenAI's own.

    Several addresses, with spaces between them, are of servers that share the calls.

    Nothing is asked yet. Raises InputError if the official server is meant and there is no key. In a dry run or for a
    batch, in which nothing will be asked, only a first call would raise it.
    """
    several = base_url.split() if base_url is not None and base_url.strip() else [base_url]
    accounts = [Account.of(model, one, api_key_env) for one in several]
    account = accounts[0]
    lacking = next((one.lacking for one in accounts if one.lacking is not None), None)
    if lacking is not None and not asks_nothing():
        raise InputError(lacking)
    calls = ServedCalls(
        accounts,
        model if served_as is None else None,
        concurrency,
        limits or Limits(),
        max_failures_in_row,
        lacking=lacking,
    )

    def listed() -> object:
        if reads_rows():
            return calls.listing
        say(f"{model}: its server is not asked what it serves, so the judge's fingerprint may be another one")
        return None

    about = f"{shown(account.server)} {model}"
    # The official server's newer models know one name only of the longest length.
    limit = LIMITS[1] if account.is_official else LIMITS[0]
    parameters = Parameters.of(about, limit, omit, learned(about))
    variables = checked_kwargs(chat_template_kwargs or {})
    served = ServedModel(model, served_as, listed)
    engine = OpenAIEngine(model, served, calls, parameters, variables, thinking_tokens)
    calls.lacks = lacks_logprobs
    calls.refused, calls.answered_before = engine.refused, lambda: engine.answered_before
    return engine
