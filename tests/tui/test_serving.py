"""`python -m tui --serve`: what each tab of a browser runs, who may open one, and the page itself."""

import asyncio
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, WSMsgType, web

from console.command import parse
from console.errors import InputError
from tests.tui.rows import PAIRS, ROOT_OF, saved
from tui.__main__ import main
from tui.options import Config

pytest.importorskip("textual_serve")
from tui.serving import Page, Tab, command

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRAWS = "import os, sys, time; os.write(1, b'__GANGLION__\\nD\\0\\0\\0\\5drawn'); "


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that another process does."""
    for _ in range(400):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("this did not come about")


def of_python(code: str) -> str:
    return f"exec {shlex.join([sys.executable, '-c', code])}"


def on_page(shown: str, ask: Callable[[str, ClientSession], Awaitable[Any]], host: str = "127.0.0.1") -> Any:
    """Serve the command `shown` in this process, and return what `ask` returns."""

    async def asked() -> Any:
        runner = web.AppRunner(await Page(shown, host, 0).app(), shutdown_timeout=1.0)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            async with ClientSession() as session:
                return await ask(f"http://127.0.0.1:{runner.addresses[0][1]}", session)
        finally:
            await runner.cleanup()

    return asyncio.run(asked())


@pytest.mark.parametrize(
    "words",
    [
        ["demo"],
        ['it\'s "a" file.jsonl', "b $(c).jsonl", '--filter=-winner:a "it\'s" margin<1', "--reverse"],
        ["demo", "--blind", "--queue=random", "--voter", "Ann O'Hara", "--seed", "7", "--theme", "light"],
        ["--", "-minus.jsonl"],
    ],
)
def test_a_tab_runs_the_same_command_line_without_the_flags_of_the_server(words: list[str]) -> None:
    config = parse(Config, words, "x")
    served = replace(config, serve=True, host="0.0.0.0", port=1)
    start, python, *rest = shlex.split(command(served))
    assert (start, python, rest[:2]) == ("exec", sys.executable, ["-m", "tui"])
    again = parse(Config, rest[2:], "x")
    assert [path.name for path in again.source] == [path.name for path in config.source]
    assert replace(again, source=config.source) == config


def test_a_tab_gets_the_settings_of_a_config_file_and_not_the_file(tmp_path: Path) -> None:
    path = tmp_path / "tui.toml"
    path.write_text('serve = true\nport = 0\nfilter = "flipped:yes"\n')
    config = parse(Config, ["demo", "--config", str(path)], "x")
    assert config.serve and shlex.split(command(config))[4:] == ["demo", "--filter=flipped:yes"]


@pytest.mark.parametrize("flags", [{"json": True}, {"statistics": True}, {"screenshot": Path("x.svg")}])
def test_flags_that_print_or_write_are_refused(flags: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=rf"^--serve shows .* --{next(iter(flags))} prints or writes"):
        main(Config(serve=True, **flags))


def test_wrong_input_and_a_taken_port_are_told_before_anything_is_served(tmp_path: Path) -> None:
    path = saved(tmp_path / "pairs.jsonl", PAIRS)
    with pytest.raises(InputError, match="no such file"):
        main(Config(source=(tmp_path / "missing.jsonl",), serve=True))
    with pytest.raises(InputError, match="did you mean winner"):
        main(Config(source=(path,), serve=True, filter="winer:a"))
    with pytest.raises(InputError, match=r"--keys .*: no such file"):
        main(Config(source=(path,), serve=True, keys=tmp_path / "no.toml"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=rf"^--port: port {port} on 127.0.0.1 is in use"):
            main(Config(source=(path,), serve=True, port=port))


def test_a_dry_run_prints_what_would_be_served(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = saved(tmp_path / "pairs.jsonl", PAIRS)
    main(Config(source=(path,), serve=True, dry_run=True, blind=True))
    assert capsys.readouterr().out == (
        f"would serve on http://127.0.0.1:8000: exec {sys.executable} -m tui {path} --blind\n"
    )


def test_pages_of_other_sites_are_refused() -> None:
    async def ask(url: str, session: ClientSession) -> list[int]:
        asked = [
            ("/", {}),
            ("/", {"Origin": url}),
            ("/ws", {"Origin": "http://other.test"}),
            ("/ws", {"Origin": "null"}),
            ("/", {"Host": "other.test"}),
            ("/", {"Host": "localhost:9000"}),
        ]
        return [(await session.get(url + path, headers=headers)).status for path, headers in asked]

    assert on_page("exit", ask) == [200, 200, 403, 403, 403, 200]
    assert on_page("exit", ask, host="0.0.0.0") == [200, 200, 403, 403, 200, 200]


def test_what_a_tabs_process_draws_is_sent_to_it() -> None:
    async def ask(url: str, session: ClientSession) -> Any:
        async with session.ws_connect(f"{url}/ws?width=100&height=30") as tab:
            message = await tab.receive(timeout=20)
            return message.type, message.data

    code = DRAWS.replace("D\\0\\0\\0\\5drawn'", "D\\0\\0\\0\\6' + os.environ['COLUMNS'].encode() + b'x' * 3")
    assert on_page(of_python(code), ask) == (WSMsgType.BINARY, b"100xxx")


def test_a_process_that_does_not_end_with_its_tab_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.serving.LAST_WORDS_S", 0.2)
    stopped: list[int | None] = []
    stop = Tab.stop

    async def noted(tab: Tab) -> None:
        await stop(tab)
        stopped.append(tab._process.returncode)

    monkeypatch.setattr(Tab, "stop", noted)

    async def ask(url: str, session: ClientSession) -> None:
        async with session.ws_connect(f"{url}/ws") as tab:
            await tab.receive(timeout=20)

    on_page(of_python(DRAWS + "time.sleep(60)"), ask)
    assert stopped == [-signal.SIGKILL]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """The address of a server of four pairs, in a process of its own."""
    path = saved(tmp_path / "it's my file.jsonl", PAIRS)
    words = [sys.executable, "-m", "tui", str(path), "--serve", "--port", "0"]
    with subprocess.Popen(words, cwd=ROOT_OF, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            told = server.stdout.readline()
            assert told.startswith("the screen is on http://127.0.0.1:")
            yield told.split()[4].rstrip(";")
        finally:
            server.send_signal(signal.SIGINT)
            assert server.wait(timeout=30) == 0


def test_the_page_is_served_the_screen_is_drawn_and_a_key_votes(served: str, tmp_path: Path) -> None:
    with urllib.request.urlopen(served, timeout=20) as answer:
        page = answer.read().decode()
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert 'id="terminal"' in page and f'src="{served}/static/js/textual.js"' in page
    with urllib.request.urlopen(f"{served}/static/js/textual.js", timeout=20) as answer:
        assert answer.status == 200

    votes = tmp_path / "votes.jsonl"

    async def drawn() -> str:
        text = b""
        async with ClientSession() as session, session.ws_connect(f"{served}/ws?width=120&height=40") as tab:
            while b"good apple" not in text:
                message = await tab.receive(timeout=30)
                assert message.type in (WSMsgType.BINARY, WSMsgType.TEXT), "the process ended"
                text += message.data if isinstance(message.data, bytes) else message.data.encode()
            await tab.send_json(["stdin", "1"])
            while not votes.exists():
                await tab.receive(timeout=30)
        return text.decode(errors="replace")

    assert "[pairs 4]" in asyncio.run(drawn())


def test_a_tab_ends_if_its_server_was_killed(tmp_path: Path) -> None:
    path = saved(tmp_path / "pairs.jsonl", PAIRS)
    words = [sys.executable, "-m", "tui", str(path), "--serve", "--port", "0"]
    with subprocess.Popen(words, cwd=ROOT_OF, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = server.stdout.readline().split()[4].rstrip(";")

        async def opened() -> Path:
            async with ClientSession() as session, session.ws_connect(f"{url}/ws") as tab:
                while b"berries" not in (await tab.receive(timeout=30)).data:
                    pass
                children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
                server.kill()
                return Path("/proc") / children[0]

        process = asyncio.run(opened())
    until(lambda: not process.exists() or ") Z" in (process / "stat").read_text())


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_chromium_connects_and_asks_nobody_else(served: str, tmp_path: Path) -> None:
    log = tmp_path / "net.json"
    words = [
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
        "--disable-background-networking", "--disable-component-update", f"--user-data-dir={tmp_path / 'profile'}",
        f"--log-net-log={log}", "--virtual-time-budget=3000", "--dump-dom", served,
    ]  # fmt: skip
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    assert 'class="terminal xterm"' in done.stdout, "the terminal is there"
    assert "fonts.googleapis.com" not in log.read_text(errors="replace").replace(served, "")


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_a_key_pressed_in_chromium_votes(served: str, tmp_path: Path) -> None:
    profile, votes = tmp_path / "profile", tmp_path / "votes.jsonl"
    told = profile / "DevToolsActivePort"
    words = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"]
    words += ["--remote-debugging-port=0", "--remote-allow-origins=*", f"--user-data-dir={profile}", served]

    async def pressed() -> str:
        """Press the key until the vote is there, and return the picture of the page."""
        port = told.read_text().split()[0]
        async with ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json") as answer:
                [page] = [page for page in await answer.json() if page["type"] == "page"]
            async with session.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0) as browser:

                async def call(method: str, **given: Any) -> Any:
                    await browser.send_json({"id": 1, "method": method, "params": given})
                    while "id" not in (message := await browser.receive_json(timeout=30)):
                        pass
                    return message["result"]

                for _ in range(100):
                    focus = "document.querySelector('textarea')?.focus()"
                    await call("Runtime.evaluate", expression=focus)
                    for kind in ("keyDown", "keyUp"):
                        key = {"key": "1", "code": "Digit1", "text": "1", "windowsVirtualKeyCode": 49}
                        await call("Input.dispatchKeyEvent", type=kind, **key)
                    if votes.exists():
                        break
                    await asyncio.sleep(0.1)
                return str((await call("Page.captureScreenshot"))["data"])

    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as chromium:
        try:
            until(lambda: told.exists() and told.read_text().count("\n") > 0)
            picture = asyncio.run(pressed())
        finally:
            chromium.terminate()
    assert '"winner":"a"' in votes.read_text().replace(" ", "") and len(picture) > 10_000
