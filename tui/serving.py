"""Shows the screen in a browser: a page on this machine, and one process of the same command for each tab."""

import asyncio
import shlex
import sys
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler
from textual_serve.app_service import AppService
from textual_serve.server import Server, to_int

from console.address import bound, is_loopback, url_of
from console.errors import InputError
from console.output import say, tell
from tui.options import Config
from tui.screens.open import own_keys
from tui.show import opened

ONLY_HERE = {"serve", "host", "port", "config"}
"""Flags that the tabs do not get. What a config file says is in the others already."""
PRINTING = ("json", "statistics", "screenshot")
LAST_WORDS_S = 2.0
"""Seconds that the process of a tab has to end once the tab is closed, or the server stops."""
HEARTBEAT_S = 15
"""Seconds after which a browser that says nothing is asked whether it is there."""
OWN_FILES_ONLY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "connect-src 'self' ws: wss:; img-src 'self' data: blob:; font-src 'self' data:; frame-ancestors 'none'"
)
"""What a page may load. The page of textual-serve asks for a font of Google's, and works without it."""


def serve(config: Config) -> None:
    """Serve the screen until a signal. Wrong input, or a port that is taken, ends the command before that."""
    for name in PRINTING:
        if getattr(config, name):
            raise InputError(f"--serve shows the screen in a browser, and --{name} prints or writes: give one of them")
    opened(config)  # what is wrong is said here, and not in each tab
    own_keys(config.keys)
    if config.dry_run:
        tell(f"would serve on {url_of(config.host, config.port)}: {command(config)}")
        return
    with bound(config.host, config.port) as listening:
        listening.listen()
        port = listening.getsockname()[1]
        if not is_loopback(config.host):
            say(f"--host {config.host}: there is no password: whoever reaches port {port} can read the texts and vote")
        tell(f"the screen is on {url_of(config.host, port)}; Ctrl+C ends it")
        sys.stdout.flush()
        page = Page(command(config), config.host, port)
        web.run_app(page.app(), sock=listening, print=None, access_log=None, shutdown_timeout=LAST_WORDS_S)


def command(config: Config) -> str:
    """Return the shell's command line of one tab: the same flags without those of the server."""
    words = [sys.executable, "-m", "tui", *(_path(path) for path in config.source)]
    default = Config()
    for field in fields(Config):
        value = getattr(config, field.name)
        if field.name in ONLY_HERE | {"source", "dry_run"} or value == getattr(default, field.name):
            continue
        flag = f"--{field.name.replace('_', '-')}"
        words.append(flag if value is True else f"{flag}={value}")
    return f"exec {shlex.join(words)}"


def _path(path: Path) -> str:
    return f"./{path}" if str(path).startswith("-") else str(path)


class Page(Server):  # type: ignore[misc]  # its library is not followed
    """The page and its tabs. Pages of other sites, which a browser lets call this machine, are refused."""

    def __init__(self, command: str, host: str, port: int) -> None:
        super().__init__(command, host=host, port=port, title="judgeloop")
        self._tabs: set[web.WebSocketResponse] = set()

    async def app(self) -> web.Application:
        """Return the web application, with the checks before each request."""
        app: web.Application = await self._make_app()  # the library is pinned, and has no public way to its application
        app.middlewares.append(self._only_own_pages)
        app.on_response_prepare.append(_add_headers)
        return app

    async def on_startup(self, app: web.Application) -> None:
        """Print nothing: the address has been told."""

    async def on_shutdown(self, app: web.Application) -> None:
        """Close the tabs, which ends their processes."""
        await asyncio.gather(*(tab.close() for tab in self._tabs))

    async def handle_index(self, request: web.Request) -> web.Response:
        """Return the page, whose links lead to the address that the browser has asked, as through a tunnel."""
        self.public_url = f"{request.scheme}://{request.host}"
        response: web.Response = await super().handle_index(request)
        return response

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        """Run a tab's process until the tab is closed or the process ends."""
        tab = web.WebSocketResponse(heartbeat=HEARTBEAT_S)
        await tab.prepare(request)
        service = Tab(
            self.command, write_bytes=tab.send_bytes, write_str=tab.send_str, close=tab.close,
            download_manager=self.download_manager,
        )  # fmt: skip
        width, height = (to_int(request.query.get(name, ""), cells) for name, cells in (("width", 80), ("height", 24)))
        self._tabs.add(tab)
        try:
            await service.start(width, height)
            await self._process_messages(tab, service)
        finally:
            self._tabs.discard(tab)
            await service.stop()
        return tab

    @web.middleware
    async def _only_own_pages(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != request.host:
            raise web.HTTPForbidden(text=f"{origin} is another site")
        name = urlsplit(f"//{request.host}").hostname or ""
        if is_loopback(self.host) and not is_loopback(name):
            raise web.HTTPForbidden(text=f"{name} is not the name of this machine: ask for {self.host}")
        return await handler(request)


class Tab(AppService):  # type: ignore[misc]  # its library is not followed
    """The process of a tab. One that was told to end and does not, as in the midst of its start, is killed."""

    async def stop(self) -> None:
        """Let the process end, or end it. A vote is in its file whole or not at all."""
        with suppress(TimeoutError):
            await asyncio.wait_for(super().stop(), LAST_WORDS_S)
        if self._process is None:
            return
        try:
            await asyncio.wait_for(self._process.wait(), LAST_WORDS_S)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Content-Security-Policy"] = OWN_FILES_ONLY
