"""External searches: a server over HTTP, and a Python function of the user."""

import asyncio
import importlib
import json
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec

from console.address import Address, basic, checked_server, masked, secrets_of, shown
from console.errors import EngineError, InputError
from engines.served import in_flight
from engines.served.http_call import Failure, Sent, attempted
from engines.served.replies.body import BrokenReply, parse_body
from engines.served.replies.failures import may_pass, said_of_error, says_something, shortened, status_of
from judges.tools.search.corpus import Passage
from records.keys import content_key

TIMEOUT_S = 30.0
RETRIES = 3
FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 8.0
QUERIES_A_CALL = 64


class Found(msgspec.Struct):
    """A passage of an external search. Other fields are ignored."""

    text: str
    id: str | int | None = None
    title: str | None = None
    url: str | None = None
    score: float | None = None


@dataclass(frozen=True)
class HTTPSearch:
    """Asks a server: POST {"queries": [...], "k": 5}, answered by [[{"id", "title", "text", "score"}, ...], ...]."""

    url: str = field(repr=False)  # may have a key
    timeout_s: float = TIMEOUT_S
    first_wait_s: float = FIRST_WAIT_S

    @property
    def digest(self) -> str:
        """Identifies the address without its secrets. The corpus behind it is unknown."""
        return content_key("http", shown(self.url))

    def search(self, queries: Sequence[str], k: int) -> list[list[Passage]]:
        """Return up to `k` passages for each query. Raises EngineError if the server fails."""
        chunks = [list(queries[start : start + QUERIES_A_CALL]) for start in range(0, len(queries), QUERIES_A_CALL)]
        bodies = [json.dumps({"queries": chunk, "k": k}).encode() for chunk in chunks]
        passages: list[list[Passage]] = []
        for chunk, reply in zip(
            # one call at a time, so the replies come in the order of the chunks
            chunks,
            in_flight.results(self._opened(bodies), iter(range(len(chunks))), 1),
            strict=True,
        ):
            passages += _passages(reply, len(chunk), k, shown(self.url))
        return passages

    def _opened(self, bodies: Sequence[bytes]) -> in_flight.Opened[object]:
        address, secrets = Address.of(self.url), secrets_of(self.url)
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if address.user:
            headers["Authorization"] = f"Basic {basic(address.user)}"

        @asynccontextmanager
        async def opened() -> AsyncIterator[in_flight.Ask[object]]:
            async with aiohttp.ClientSession() as session:

                async def ask(index: int) -> object:
                    n_calls, result = await self._asked(session, Sent(address.url(), headers, bodies[index]))
                    if not isinstance(result, Failure):
                        return result
                    status = "HTTP " if result.status is not None else ""
                    tries = f"the search server gave no answer in {n_calls} attempts"
                    reason = shortened(masked(f"{status}{result.reason}", secrets))
                    raise EngineError(f"{shown(self.url)}: {tries}: {reason}")

                yield ask

        return opened

    async def _asked(self, session: aiohttp.ClientSession, sent: Sent) -> tuple[int, object]:
        """Return the number of attempts and the reply, or the last attempt's Failure."""
        n_calls, wait_s = 0, self.first_wait_s
        while True:
            n_calls += 1
            result = await attempted(session, sent, _read, self.timeout_s)
            if not isinstance(result, Failure) or not result.may_pass or n_calls > RETRIES:
                return n_calls, result
            told_s = result.told_wait_s or 0.0  # or nan, or of the past
            await asyncio.sleep(told_s if told_s > 0 else wait_s * random.uniform(0.75, 1))
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)


def _read(data: bytes) -> object:
    """Return the reply of a search server. Raises BrokenReply if it reports an error."""
    body = parse_body(data)
    if isinstance(body, dict) and says_something(body.get("error")):
        status = status_of(body["error"])
        raise BrokenReply(said_of_error(body["error"], status), status=status, may_pass=may_pass(status))
    return body


@dataclass(frozen=True)
class FunctionSearch:
    """Calls `function(queries, k)`, which returns one list of passages or dicts for each query."""

    name: str
    function: Callable[[list[str], int], Any]

    @property
    def digest(self) -> str:
        """Identifies the function by its name. Rename the function when it changes."""
        return content_key("function", self.name)

    def search(self, queries: Sequence[str], k: int) -> list[list[Passage]]:
        """Return up to `k` passages for each query. Raises EngineError if the function fails."""
        if not queries:
            return []
        try:
            reply = self.function(list(queries), k)
        except Exception as error:  # the user's function can raise anything
            raise EngineError(f"{self.name}: the search function failed: {type(error).__name__}: {error}") from error
        return _passages(reply, len(queries), k, self.name)


def open_http(url: str) -> HTTPSearch:
    """Return the search at `url`, without asking it yet. Raises InputError if `url` is no address."""
    return HTTPSearch(checked_server(url))


def open_function(name: str) -> FunctionSearch:
    """Return the search function called `module:function`. Raises InputError if it does not exist."""
    module_name, _, function_name = name.partition(":")
    try:
        function = getattr(importlib.import_module(module_name), function_name, None)
    except ImportError as error:
        raise InputError(f"--search {name}: the module cannot be imported: {error}") from None
    if not callable(function):
        raise InputError(f"--search {name}: the module {module_name} has no function '{function_name}'")
    return FunctionSearch(name, function)


def _passages(reply: object, n_queries: int, k: int, source: str) -> list[list[Passage]]:
    """Return the reply of an external search as passages. Raises EngineError if it has another form."""
    try:
        lists = msgspec.convert(reply, list[list[Found]], from_attributes=True)
    except msgspec.ValidationError as error:
        raise EngineError(f"{source}: not a list of passages for each query: {error}") from None
    if len(lists) != n_queries:
        raise EngineError(f"{source}: {n_queries} queries were asked and {len(lists)} lists came back")
    return [[_passage(result) for result in results[:k] if result.text.strip()] for results in lists]


def _passage(found: Found) -> Passage:
    name = content_key(found.title, found.text) if found.id is None else str(found.id)
    return Passage(name, found.text, found.title, found.url, found.score)
