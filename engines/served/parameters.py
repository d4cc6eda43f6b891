"""The parameters of calls to a server, without those that it refused.

Servers refuse parameters in words of their own. `refusal_of` knows those of OpenAI (and Azure), Anthropic's, Google's
and Mistral's compatible servers, OpenRouter, xAI, Groq, Cerebras, LiteLLM, vLLM, SGLang, llama.cpp and
text-generation-inference. Only the refusal of a parameter counts. A text that is too long, a value out of range or a
wrong message is that call's own failure.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

OPTIONAL = ("top_p", "temperature", "seed", "stop")
"""Parameters that a call can do without. Of two that exclude each other, the first is left out."""
NEEDED = ("logprobs", "top_logprobs", "logprob_token_ids", "response_format")
"""Parameters that a reading needs."""
LIMITS = ("max_tokens", "max_completion_tokens")
"""The two names of a reply's longest length."""
TOP = "top_logprobs"
OVER = f"{TOP}>"
REFUSING = {400, 403, 422, 501}

_SPELLINGS = {
    "stop": r"stop(?:[-_ ]?sequences?)?",
    "top_p": r"top[-_ ]?p",
    "max_tokens": r"max[-_]?tokens",
    "max_completion_tokens": r"max[-_]?completion[-_]?tokens",
    "response_format": r"response[-_]?format",
    "top_logprobs": r"top[-_]?logprobs",
}
_REFUSES = re.compile(
    r"""unsupported | not\ (?:currently\ |yet\ )?(?:supported|allowed|permitted|recogni[sz]ed|accepted|available)
    | not\ (?:currently\ )?enabled
    | (?:n[o']t|not)\ (?:currently\ |yet\ )?(?:support|allow|accept|permit|recogni[sz]e)\b
    | unrecogni[sz]ed | unknown\ (?:name|field|parameter|argument|key|property) | unknown_parameter
    | unexpected\ (?:keyword|field|parameter|argument|key|property|input) | extra_?\ ?(?:inputs|fields|forbidden)
    | unavailable | unknown\ variant | or\ unset\b
    | extraneous\ key | additional\ ?propert | deprecated | no\ longer | cannot\ find\ field | forbidden
    | can(?:not|'t)\ (?:both\ )?be\ (?:both\ )?(?:specified|used|set|provided|combined|sent|modified|changed)
    | cannot\ specify\ both | only\ (?:specify\ )?one\ of | mutually\ exclusive | incompatible
    | may\ only\ be\ set\ to
    | must\ be\ (?:set\ to\ )?(?:omitted|unset|false|null|none|the\ default|1(?:\.0)?)(?![\w.,])
    | only\ (?:the\ default|[\d.]+\ is\ (?:allowed|supported)) | is\ fixed | not\ configurable
    """,
    re.IGNORECASE | re.VERBOSE,
)
_CODES = re.compile(r"unsupported|unknown_param|extra_forbidden|value_error\.extra|unrecogni[sz]ed", re.IGNORECASE)
_ABOUT_LENGTH = re.compile(
    r"context[ _](?:length|window|size)|maximum (?:context|model) len|max_model_len|too (?:long|large|many|big)"
    r"|reduce (?:the|your) (?:length|prompt|input|message)|exceeds?\b|at most|limit (?:was )?reached|valid range",
    re.IGNORECASE,
)
_BOTH = re.compile(r"\bboth\b|only one|mutually exclusive|together|combin", re.IGNORECASE)
_INSTEAD = re.compile(
    r"(?:supported|allowed|valid|accepted|permitted|known) (?:parameters|fields|arguments|properties|keys|values)\b.*"
    r"|\buse\b (?!only one).*|\bdid you mean\b.*",
    re.IGNORECASE | re.DOTALL,
)
"""Words that name an accepted parameter."""
_BEFORE = (
    r"(?:parameters?|arguments?|fields?|propert(?:y|ies)|keys?|names?|settings?"
    r"|and|invalid|request|support|set|specify)"
)
"""Words before a parameter's name in a sentence about it."""
_AFTER = r"\s+(?:parameter|argument|field|property|key|setting)s?\b"
_WORDS_TOO = {"temperature", "seed", "stop"}
"""Names that are words of a sentence as well."""
_NO_PARAMETER = re.compile(r"(?:\w*_)?error|none|null|request|body", re.IGNORECASE)
"""Words instead of a parameter's name if there is none."""
_ECHOED = {"input", "ctx", "loc", "failed_generation", "content", "text", "prompt", "value", "url"}
"""Fields that repeat the request or the reply, so that their words are not the server's."""
_SENTENCE = re.compile(r"(?<=[.!?;])\s+|\n")


def more_listed_than(n: int) -> str:
    """Return the parameters to leave out if no more than `n` tokens are listed at a place."""
    return f"{OVER}{n}"


def refusal_of(status: int | None, data: bytes | str, sent: Collection[str]) -> tuple[str, ...]:
    """Return the parameters among `sent` that a failed reply names as refused, or none if it failed otherwise.

    `data` is the reply's body, in whatever form.
    """
    if status not in REFUSING:
        return ()
    text = data.decode(errors="replace") if isinstance(data, bytes) else data
    # 403 refuses only log-probabilities. Anything else is forbidden for the content of the texts.
    known = [name for name in (*(() if status == 403 else (*OPTIONAL, *LIMITS)), *NEEDED) if name in sent]
    names: dict[str, None] = {}
    for error in _errors(_decoded(text)):
        names |= dict.fromkeys(_refused(error, known))
    return tuple(name for name in known if name in names)


def errors_of(data: bytes | str) -> Iterator[tuple[str, list[str]]]:
    """Yield the words of each error in a body, with the last part of the names of the parameters that it is about."""
    text = data.decode(errors="replace") if isinstance(data, bytes) else data
    for error in _errors(_decoded(text)):
        yield error.message, [_last(param) for param in error.params]


@dataclass(frozen=True)
class _Error:
    """An error in a server's reply."""

    message: str
    params: list[str]
    """The parameters that it names as such."""
    codes: str


def _refused(error: _Error, known: Collection[str]) -> list[str]:
    """Return those of `known` that one error refuses."""
    message = error.message
    if _ABOUT_LENGTH.search(message) and not _REFUSES.search(_ABOUT_LENGTH.sub("", message)):
        return []
    if error.params:
        named = [name for name in known if any(_names(name).fullmatch(_last(param)) for param in error.params)]
        if not named or not (_CODES.search(error.codes) or _REFUSES.search(message)):
            return []
        return _one_of_both(message, named, known)
    refused: list[str] = []
    for sentence in _SENTENCE.split(message):
        if _REFUSES.search(sentence) or _CODES.search(error.codes):
            refused += _one_of_both(
                sentence, [n for n in known if _spoken(n).search(_INSTEAD.sub("", sentence))], known
            )
    return refused


def _one_of_both(message: str, named: list[str], known: Collection[str]) -> list[str]:
    if not _BOTH.search(message):
        return named
    pair = [name for name in OPTIONAL if name in known and _names(name).search(message)]
    return list(pair[:1]) if len(pair) > 1 else named  # by the order of OPTIONAL


def _names(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w-]){_SPELLINGS.get(name, name)}(?![\w-])", re.IGNORECASE)


def _spoken(name: str) -> re.Pattern[str]:
    """Return a pattern for `name` as a parameter in a sentence, and not as a word such as stop or seed."""
    named = _names(name).pattern
    if name not in _WORDS_TOO:
        return re.compile(named, re.IGNORECASE)
    return re.compile(rf"(?:^\W*|[:,(]\s*|['\"`\[.]|\b{_BEFORE}\s+){named}|{named}{_AFTER}", re.IGNORECASE)


def _last(param: str) -> str:
    return re.split(r"[.\[\]/'\"]+", param.strip("[]'\"./# "))[-1]


def _decoded(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _errors(found: object, depth: int = 0) -> Iterator[_Error]:
    """Yield each error that a body holds, at any depth."""
    if depth > 12:  # deeper than any server's error, and a body may be made to nest
        return
    if isinstance(found, str):
        inner = _decoded(found) if found.lstrip().startswith(("{", "[")) else found
        if inner is found or isinstance(inner, str):
            yield from _pydantic_errors(found)
        else:
            yield from _errors(inner, depth + 1)
    elif isinstance(found, list):
        for error in found:
            yield from _errors(error, depth + 1)
    elif isinstance(found, Mapping):
        words = [found[key] for key in ("message", "msg", "detail", "error") if isinstance(found.get(key), str)]
        named = [p for key in ("param", "parameter", "field") if isinstance(p := found.get(key), str) and p.strip()]
        params = [param for param in named if not _NO_PARAMETER.fullmatch(param.strip())]
        if isinstance(place := found.get("loc"), list) and place:  # pydantic's, of FastAPI servers such as vLLM
            params.append(str(place[-1]))
        codes = " ".join(str(found.get(key, "")) for key in ("code", "type", "status"))
        if params:
            yield _Error(" ".join(words), params, codes)
        else:
            for word in words:
                for error in _errors(word, depth + 1):
                    yield replace(error, codes=f"{error.codes} {codes}")
        for key, value in found.items():
            read = isinstance(value, str) and key in ("message", "msg", "detail", "error", "param", "code", "type")
            if not read and key not in _ECHOED:
                yield from _errors(value, depth + 1) if isinstance(value, dict | list | str) else ()


def _pydantic_errors(text: str) -> Iterator[_Error]:
    """Yield the errors of a validation that a server prints as Python has it, or else `text` as one error."""
    errors = re.findall(r"\{'type': '([\w.]+)', 'loc': \(([^()]*)\), 'msg': '([^']*)'", text)
    for code, place, message in errors:
        yield _Error(message, [place.rstrip(", ").split(",")[-1].strip(" '\"")], code)
    if not errors:
        yield _Error(text, [], "")


class RefusedError(Exception):
    """A server refuses what the calls cannot do without."""

    def __init__(self, name: str) -> None:
        """Name the parameter."""
        super().__init__(name)
        self.name = name


@dataclass
class Parameters:
    """The parameters of one engine's calls. A refusal changes them for all further calls.

    The calls' thread changes them, and the caller's thread reads them.
    """

    about: str = ""
    """The server and the model, under which a command that starts again finds what it learned."""
    left_out: set[str] = field(default_factory=set)
    limit: str = LIMITS[0]
    """Under which name the longest length is sent."""
    swapped: bool = False
    are_told: bool = False
    """True once names and rows depend on the parameters."""

    @staticmethod
    def of(about: str, limit: str, omit: Collection[str], learned: Collection[str]) -> "Parameters":
        """Return the parameters without `omit` and without those that were `learned` to be refused before."""
        parameters = Parameters(about, {*omit, *learned} - set(LIMITS), limit)
        if limit in learned:
            parameters.limit, parameters.swapped = _other(limit), True
        return parameters

    @property
    def not_sent(self) -> tuple[str, ...]:
        """Return the parameters that are left out, sorted."""
        return tuple(sorted(self.left_out))

    @property
    def learned(self) -> frozenset[str]:
        """Return the parameters that are left out and, if it was replaced, the refused name of the longest length."""
        return frozenset(self.left_out | ({_other(self.limit)} if self.swapped else set()))

    def applied(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return `body` as this server takes it."""
        sent = {name: value for name, value in body.items() if name not in self.left_out}
        if TOP in sent:
            sent[TOP] = min([sent[TOP], *self._most_listed])
        if LIMITS[0] in sent:
            sent[self.limit] = sent.pop(LIMITS[0])
        return sent

    @property
    def _most_listed(self) -> list[int]:
        return [int(name.removeprefix(OVER)) for name in self.left_out if name.startswith(OVER)]

    def asks_fewer_than(self, n: int) -> bool:
        """Return whether `n` tokens at each place are more than are asked for now."""
        return any(known < n for known in self._most_listed)

    def learn_most_listed(self, n: int) -> set[str]:
        """Ask for at most `n` tokens at each place from now on, and return what is new."""
        if any(known <= n for known in self._most_listed):
            return set()
        self.left_out.add(more_listed_than(n))
        return {more_listed_than(n)}

    def learn(self, names: Collection[str], sent: Collection[str]) -> set[str]:
        """Change the parameters after a refusal of `names`, and return those that were not known to be refused.

        Raises RefusedError if one cannot be done without.
        """
        for name in names:
            if name in NEEDED or (name in LIMITS and self.limit in sent and self.swapped):
                raise RefusedError(name)
        new = {name for name in names if name in OPTIONAL and name not in self.left_out}
        self.left_out |= new
        for name in names:
            if name in LIMITS and self.limit in sent:
                self.swapped, self.limit = True, _other(self.limit)
                new.add(name)
        return new


def _other(limit: str) -> str:
    return LIMITS[1 - LIMITS.index(limit)]
