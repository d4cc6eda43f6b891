"""Prints everything that a command prints, made visible: its result to stdout, diagnostics to stderr."""

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

import msgspec

from console.visible import escaped_json, one_line, visible

PLURAL = re.compile(r"s\b")


def tell(*lines: object) -> None:
    """Print each argument as one line of the result. A line break inside an argument becomes visible."""
    _write(sys.stdout, "\n".join(one_line(str(line)) for line in lines))


def tell_text(text: str) -> None:
    """Print a whole text with its line breaks, such as a prompt."""
    _write(sys.stdout, visible(text))


def tell_json(value: Any) -> None:
    """Print plain data, or JSON that is encoded already (bytes), as indented JSON."""
    if isinstance(value, bytes):
        tell_encoded(msgspec.json.format(value, indent=2).decode())
    else:
        tell_encoded(json.dumps(value, ensure_ascii=False, indent=1))


def tell_plan(plan: Mapping[str, Any], *lines: object, as_json: bool, prompt: str | None = None) -> None:
    """Print what a command would do: `plan` as one JSON object, or else the lines, and then the first `prompt`."""
    if as_json:
        shown = {name: str(value) if isinstance(value, Path) else value for name, value in plan.items()}
        tell_json(shown | ({} if prompt is None else {"first_prompt": prompt}))
        return
    tell(*lines)
    if prompt is not None:
        tell("", "the first prompt:", "")
        tell_text(prompt)


def tell_encoded(text: str) -> None:
    """Print JSON text as it is, only with escapes for what a terminal would obey or hide."""
    shown = escaped_json(text)
    _write(sys.stdout, shown if _holds(sys.stdout, shown) else escaped_json(text, ascii_only=True))


def say(message: str) -> None:
    """Print one diagnostic line to stderr."""
    _write(sys.stderr, one_line(message))


def say_text(text: str) -> None:
    """Print a whole diagnostic text to stderr, such as a traceback."""
    _write(sys.stderr, visible(text))


def counted(number: int, nouns: str) -> str:
    """Return a number of things: `1 word`, `1,200 words`, `1 time 'tea'`. `nouns` starts with a regular plural."""
    return f"{number:,} {PLURAL.sub('', nouns, count=1) if number == 1 else nouns}"


def _write(stream: TextIO, text: str) -> None:
    if not _holds(stream, text):
        text = text.encode(stream.encoding, "backslashreplace").decode(stream.encoding)
    print(text, file=stream, flush=stream is sys.stderr)  # stdout is flushed at the end of the command


def _holds(stream: TextIO, text: str) -> bool:
    """Return whether the stream's encoding, which need not be UTF-8, has all characters of `text`."""
    try:
        text.encode(stream.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True
