"""A server's address, for calls, for messages, which hide the secrets that people put into it, and to listen on."""

import errno
import html
import ipaddress
import json
import re
import socket
from base64 import b64encode
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, TypeVar, cast
from urllib.parse import quote, unquote, unquote_plus, urlsplit

from console.errors import InputError

T = TypeVar("T")

HIDDEN = "***"
SHORTEST_SECRET = 4
"""A shorter text is not looked for in messages: it would hide parts of other words."""
NOT_SECRET = {"api-version", "version", "v", "model", "deployment"}
"""Parameters of a query that are shown: an API's version is no secret, and helps to find a fault."""
HOST = re.compile(r"(?:[\w.-]+|\[[\da-fA-F:.%]+\])?(?::\d*)?")

WHOLE_HOST = re.compile(r"(?P<name>[\w.-]+|\[[\da-fA-F:.]+(?:%[\w.-]+)?\])(?::(?P<port>\d{1,5}))?")
NOT_IN_URL = re.compile(r"[\s\x00-\x1f\x7f\ud800-\udfff]")
LONGEST_HOST = 253
LONGEST_LABEL = 63
LARGEST_PORT = 65535
ADDRESS = re.compile(r"https?://\S+(?:\s+https?://\S+)*$")


@dataclass(frozen=True)
class Address:
    """The parts of a URL that a server sees, so without the fragment."""

    scheme: str
    """With its `://`, or nothing."""
    user: str
    """User and password as they stand, or nothing."""
    place: str
    """Host, port and path."""
    query: str

    @staticmethod
    def of(url: str) -> "Address":
        """Return the parts of `url`, whatever its form. Raises nothing."""
        scheme, mark, rest = url.partition("://")
        if not mark:
            scheme, rest = "", url
        authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
        user = authority.rpartition("@")[0]
        if not user and not HOST.fullmatch(authority):
            user = rest.rpartition("@")[0]  # a password with a slash or a question mark that are not escaped
        rest = rest[len(user) :].removeprefix("@") if user else rest
        place, _, query = rest.partition("#")[0].partition("?")
        return Address(scheme + mark, user, place, query)

    def url(self, path: str = "") -> str:
        """Return the address of `path` under this one, without user and password. The query stays: it may be a key."""
        query = f"?{self.query}" if self.query else ""
        return f"{self.scheme}{self.place.rstrip('/')}{path}{query}"


def checked_server(url: str) -> str:
    """Return `url`. Raises InputError, without its secrets, if no call can be sent to it."""
    parts = Address.of(url)
    host = WHOLE_HOST.fullmatch(re.split(r"[/?#]", parts.place, maxsplit=1)[0])
    if parts.scheme.lower() not in ("http://", "https://"):
        problem = "it begins with neither http:// nor https://"
    elif NOT_IN_URL.search(url):
        problem = "it has a space or a control character"
    elif host is None or not all(
        0 < len(label) <= LONGEST_LABEL for label in host["name"].removesuffix(".").split(".")
    ):
        problem = "it names no host"
    elif len(host["name"]) > LONGEST_HOST:
        problem = "the name of its host is too long"
    elif not 0 < int(host["port"] or 1) <= LARGEST_PORT:
        problem = f"its port is not from 1 to {LARGEST_PORT}"
    else:
        return url
    raise InputError(f"'{shown(url)}' is no address of a server: {problem}; write it like http://localhost:8000/v1")


def checked_header(value: str, where: str) -> str:
    """Return `value`, which is to be sent in a header, without the spaces around it.

    Raises InputError if it has a line break, which would begin another header, or a letter outside ASCII, which servers
    read in different ways. The message names the origin (the argument), never the value.
    """
    value = value.strip()
    for place, letter in enumerate(value, start=1):
        if not " " < letter < "\x7f":
            kind = "no ASCII" if letter > "\x7f" else "a space, a line break or another control character"
            raise InputError(f"{where}: its character {place} is {kind}, and cannot be sent; set it again")
    return value


def shown(url: str) -> str:
    """Return `url` with its user, its password and the values of its query hidden. So are those of several."""
    if len(several := url.split()) > 1:
        return " ".join(map(shown, several))
    parts = Address.of(url)
    query = "&".join(map(_shown_parameter, parts.query.split("&"))) if parts.query else ""
    return f"{parts.scheme}{f'{HIDDEN}@' if parts.user else ''}{parts.place}{'?' if query else ''}{query}"


def shown_within(text: str) -> str:
    """Return `text` with the secrets of the address at its end hidden, if it has one, as in NAME@URL."""
    return shown(text) if ADDRESS.search(text) else text


def without_secrets(value: T) -> T:
    """Return plain data or settings with the secrets of all addresses in them hidden, for others to read."""
    hidden: Any = value
    if isinstance(value, str):
        hidden = shown_within(value)
    elif isinstance(value, dict):
        hidden = {name: without_secrets(item) for name, item in value.items()}
    elif type(value) in (list, tuple):  # not isinstance: a named tuple takes its items one by one
        hidden = hidden.__class__(without_secrets(item) for item in hidden)
    elif is_dataclass(value) and not isinstance(value, type):
        # `replace` refuses a field that __init__ does not take.
        changes = {field.name: without_secrets(getattr(value, field.name)) for field in fields(value) if field.init}
        hidden = replace(value, **changes)
    return cast(T, hidden)


def secrets_of(url: str) -> set[str]:
    """Return the secrets of `url`: user, password and values of the query, both as they are and decoded."""
    parts = Address.of(url)
    secrets = {parts.user, *parts.user.split(":", 1), basic(parts.user)} if parts.user else set()
    for parameter in filter(None, parts.query.split("&")):
        name, _, value = parameter.partition("=")
        if name.lower() not in NOT_SECRET:
            secrets.add(value or name)  # a key may stand alone, as in ?KEY
    return secrets | {unquote(secret) for secret in secrets} | {unquote_plus(secret) for secret in secrets}


def masked(text: str, secrets: Iterable[str]) -> str:
    """Return `text` with every one of `secrets` hidden, the longest first, as they are and as texts quote them."""
    known = {secret for secret in secrets if secret}
    quoted = {
        form
        for secret in known
        for form in (repr(secret)[1:-1], json.dumps(secret)[1:-1], html.escape(secret), quote(secret))
    }
    # The longest first, because a secret within another one would leave the rest of that in sight.
    for secret in sorted(known | quoted, key=len, reverse=True):
        if len(secret) >= SHORTEST_SECRET:
            text = text.replace(secret, HIDDEN)
    return text


def basic(user: str) -> str:
    """Return the credentials of a Basic Authorization header for `user`, which is `name:password` as in a URL."""
    name, _, password = user.partition(":")
    return b64encode(f"{unquote(name)}:{unquote(password)}".encode()).decode()


def same_place(one: str, other: str) -> bool:
    """Return whether both addresses are of one server, which may then be sent the same key."""
    return _origin(one) == _origin(other)


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.rpartition("@")[2].lower()


def _shown_parameter(parameter: str) -> str:
    name, mark, _ = parameter.partition("=")
    if name.lower() in NOT_SECRET:
        return parameter
    return f"{name}{mark}{HIDDEN}" if mark else HIDDEN


def bound(host: str, port: int) -> socket.socket:
    """Return a socket that has the port and does not listen yet. Raises InputError if it cannot be had."""
    try:
        [found, *_] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        with ExitStack() as unless_bound:
            taken = unless_bound.enter_context(socket.socket(found[0], socket.SOCK_STREAM))
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that was just left can be taken again
            taken.bind(found[4])
            unless_bound.pop_all()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            what = f"port {port} on {host} is in use: stop what listens there, or give another port"
            raise InputError(f"--port: {what} (0 takes a free one)") from None
        raise InputError(f"--host {host} --port {port}: cannot be listened on: {error.strerror or error}") from None
    return taken


def url_of(host: str, port: int) -> str:
    """Return the URL of a server, with an IPv6 address in brackets."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def is_loopback(host: str) -> bool:
    """Return whether an address can be reached from this machine only."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
