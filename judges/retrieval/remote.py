"""Searches that lie elsewhere: a server that is asked over HTTP, and a Python function of the user's own."""

import importlib
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from console.errors import EngineError, InputError
from judges.retrieval.corpus import Passage
from records.keys import content_key

TIMEOUT_S = 30.0
ATTEMPTS = 4
FIRST_WAIT_S = 1.0
QUERIES_A_CALL = 64
WORTH_RETRYING = (408, 429, 500, 502, 503, 504)


class Found(msgspec.Struct):
    """A passage as another search gives it; fields that are not named here are left out."""

    text: str
    id: str | int | None = None
    title: str | None = None
    url: str | None = None
    score: float | None = None


@dataclass(frozen=True)
class HTTPSearch:
    """Asks a server: POST {"queries": [...], "k": 5}, answered by [[{"id", "title", "text", "score"}, ...], ...]."""

    url: str
    timeout_s: float = TIMEOUT_S
    first_wait_s: float = FIRST_WAIT_S

    @property
    def digest(self) -> str:
        """Identifies the address; what lies behind it cannot be known."""
        return content_key("http", self.url)

    def search(self, queries: Sequence[str], k: int) -> list[list[Passage]]:
        """Return up to `k` passages for each query; raises EngineError where the server does not give them."""
        found: list[list[Passage]] = []
        for start in range(0, len(queries), QUERIES_A_CALL):
            some = list(queries[start : start + QUERIES_A_CALL])
            found += _passages(self._post({"queries": some, "k": k}), len(some), k, self.url)
        return found

    def _post(self, body: dict[str, Any]) -> object:
        """Return the reply, asking again with growing waits where the fault may pass."""
        request = urllib.request.Request(
            self.url, json.dumps(body).encode(), {"Content-Type": "application/json"}, method="POST"
        )
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with urllib.request.urlopen(request, timeout=self.timeout_s) as reply:
                    return json.load(reply)
            except urllib.error.HTTPError as error:
                reason, again = f"HTTP {error.code} {error.reason}", error.code in WORTH_RETRYING
                error.close()
            except (OSError, ValueError) as error:  # no connection, a timeout, or a reply that is not JSON
                reason, again = f"{type(error).__name__}: {error}", not isinstance(error, ValueError)
            if not again or attempt == ATTEMPTS:
                break
            time.sleep(self.first_wait_s * 2 ** (attempt - 1))
        raise EngineError(f"{self.url}: the search server gave no answer in {attempt} attempts: {reason}")


@dataclass(frozen=True)
class FunctionSearch:
    """Calls `function(queries, k)`, which returns one list of passages or dicts for each query."""

    name: str
    function: Callable[[list[str], int], Any]

    @property
    def digest(self) -> str:
        """Identifies the function by its name; give it another one when it changes."""
        return content_key("function", self.name)

    def search(self, queries: Sequence[str], k: int) -> list[list[Passage]]:
        """Return up to `k` passages for each query; raises EngineError where the function fails."""
        if not queries:
            return []
        try:
            reply = self.function(list(queries), k)
        except Exception as error:  # it is the user's: anything can come out of it
            raise EngineError(f"{self.name}: the search function failed: {type(error).__name__}: {error}") from error
        return _passages(reply, len(queries), k, self.name)


def open_http(url: str) -> HTTPSearch:
    """Return the search at `url`; nothing is asked yet."""
    return HTTPSearch(url)


def open_function(name: str) -> FunctionSearch:
    """Return the search function called `module:function`; raises InputError where there is none."""
    module_name, _, function_name = name.partition(":")
    try:
        function = getattr(importlib.import_module(module_name), function_name, None)
    except ImportError as error:
        raise InputError(f"--search {name}: the module cannot be imported: {error}") from None
    if not callable(function):
        raise InputError(f"--search {name}: the module {module_name} has no function '{function_name}'")
    return FunctionSearch(name, function)


def _passages(reply: object, n_queries: int, k: int, source: str) -> list[list[Passage]]:
    """Return what another search gave as passages; raises EngineError where it has another form."""
    try:
        lists = msgspec.convert(reply, list[list[Found]], from_attributes=True)
    except msgspec.ValidationError as error:
        raise EngineError(f"{source}: not a list of passages for each query: {error}") from None
    if len(lists) != n_queries:
        raise EngineError(f"{source}: {n_queries} queries were asked and {len(lists)} lists came back")
    return [[_passage(found) for found in some[:k] if found.text.strip()] for some in lists]


def _passage(found: Found) -> Passage:
    name = content_key(found.title, found.text) if found.id is None else str(found.id)
    return Passage(name, found.text, found.title, found.url, found.score)
