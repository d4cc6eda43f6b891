"""The port of a command that serves: taken before anything is loaded, and wrong ones told in one line."""

import errno
import ipaddress
import socket
from contextlib import ExitStack

from console.errors import InputError


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
