"""Runs the server: takes the port, loads the judge, answers, and on a signal finishes what is under way."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import ExitStack

from aiohttp import web

from console.address import bound, is_loopback, url_of
from console.command import INTERRUPTED
from console.errors import InputError
from console.output import say, tell, tell_json, tell_plan
from judges.serve.app import Server
from judges.serve.metrics import Metrics
from judges.serve.opening import Opened, bench_of, first_question, opened
from judges.serve.options import Config

LAST_BODY_S = 2.0
"""Seconds that a caller has for the rest of its request once the server stops."""
WAITING = 1024
"""Connections that wait to be taken: trainers send all answers of a step at once."""


def serve(config: Config) -> None:
    """Serve the judge that the flags describe until a signal. Raises InputError if the port cannot be had."""
    key = _key(config)
    judges = opened(config)
    if config.dry_run:
        _print_plan(config, judges)
        return
    answer(config, judges, key)


def answer(config: Config, judges: Sequence[Opened], key: str | None = None) -> None:
    """Answer with the verdicts of opened judges until a signal. Raises InputError if the port cannot be had."""
    with ExitStack() as stack:
        listening = stack.enter_context(bound(config.host, config.port))  # before a model is loaded for nothing
        for judge in judges:
            if judge.asked is not None:
                first_question(judge.asked)
        bench = bench_of(config, judges, Metrics(), stack)
        asyncio.run(_answer(config, Server(bench, config.limits, key, config.debug), listening))


async def _answer(config: Config, server: Server, listening: socket.socket) -> None:
    """Answer requests until a signal, then finish those under way."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def signalled() -> None:
        if stop.is_set():
            say("stopped at once: what was under way is lost, and verdicts so far are kept")
            os._exit(INTERRUPTED)  # the engine's thread cannot be stopped
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signalled)
    runner = web.AppRunner(server.app(), access_log=None, shutdown_timeout=LAST_BODY_S)
    await runner.setup()
    await web.SockSite(runner, listening, backlog=WAITING).start()
    _say_ready(config, server, listening)
    await stop.wait()
    server.is_stopping = True
    if server.n_under_way:
        say(f"finishing {server.n_under_way} requests; a second signal stops at once")
    until_s = loop.time() + LAST_BODY_S
    while server.n_whole or (server.n_under_way and loop.time() < until_s):
        await asyncio.sleep(0.05)
    await runner.cleanup()
    say("stopped: all requests are answered")


def _say_ready(config: Config, server: Server, listening: socket.socket) -> None:
    url = url_of(*listening.getsockname()[:2])
    if config.json:
        judges = server.bench.fingerprints
        tell_json({"url": url, "model": server.bench.name, "judges": judges, "out": str(config.out)})
    else:
        paths = "/v1/decisions /score /compare /group /reward /v1/models /health /metrics"
        tell(f"{server.bench.name} is served on {url}", f"paths: {paths}", f"verdicts: {config.out}")
    sys.stdout.flush()


def _key(config: Config) -> str | None:
    """Return the key that callers must send. Raises InputError if other machines can call and there is none."""
    if config.key_env is not None:
        key = os.environ.get(config.key_env, "").strip()
        if not key:
            raise InputError(f"--key-env {config.key_env}: this variable is not set: give it the key of the callers")
        return key
    if not is_loopback(config.host):
        raise InputError(
            f"--host {config.host}: other machines can call it, so it needs a key: name its variable with --key-env"
        )
    return None


def _print_plan(config: Config, judges: list[Opened]) -> None:
    """Print what would be served."""
    rows = []
    for judge in judges:
        by_use = {"score": judge.scorer, "compare": judge.comparer}
        rows.append({use: used.fingerprint for use, used in by_use.items() if used is not None})
    names = ", ".join(judge.name for judge in judges)
    words = f"would serve {names} on {url_of(config.host, config.port)}"
    told = [f"{use}: judge {fingerprint}" for row in rows for use, fingerprint in row.items()]
    plan = {"models": [judge.name for judge in judges], "host": config.host, "port": config.port, "judges": rows}
    tell_plan(plan | {"out": str(config.out)}, words, *told, f"verdicts would go to {config.out}", as_json=config.json)
