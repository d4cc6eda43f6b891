"""Keeps what a library makes anew at each call, and a process of tests needs thousands of times."""

import sys
from collections import OrderedDict
from functools import cache
from importlib import metadata
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).parent.parent

MOST_PARSERS = 2_000
ONE_PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b550000000a49444154789c63f80f0001010100b138f614"
    "0000000049454e44ae426082"
)
"""A PNG of one grey pixel."""


def keep_packages() -> None:
    """Let what is installed be read once: accelerate reads it for each model that it prepares."""
    metadata.metadata = cache(metadata.metadata)  # type: ignore[assignment]


def keep_parsers() -> None:
    """Let tyro make the parser of a command once for the same defaults, where it takes 10 to 70 ms at each parse.

    A parser is made of those of the command's sections. Where a section has other defaults, the others are kept.
    """
    from tyro._parsers import ParserSpecification

    make = ParserSpecification.from_callable_or_type
    kept: OrderedDict[Any, ParserSpecification] = OrderedDict()
    command: list[Any] = []

    def once(f: Any, **settings: Any) -> ParserSpecification:
        own = {name: settings[name] for name in settings.keys() - {"parent_classes", "description", "markers"}}
        key = *command, f, frozenset(settings["markers"]), repr(sorted(own.items()))
        if key not in kept:
            outer = command[:]
            command[:] = outer or [f]
            try:
                kept[key] = make(f, **settings)
            finally:
                command[:] = outer
        kept.move_to_end(key)
        while len(kept) > MOST_PARSERS:
            kept.popitem(last=False)
        return kept[key]

    ParserSpecification.from_callable_or_type = staticmethod(once)  # type: ignore[method-assign]


def quick_workers(patch: "pytest.MonkeyPatch") -> None:
    """Let worker processes begin with what they import: each would import it again, which takes a second.

    They come from a server, so they share no more with this process than new ones do.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload(["judges.judging.shards", "engines.served.openai_engine", "engines.served.sdk"])
    patch.setenv("PYTHONPATH", str(ROOT))  # the server's, which takes no path from here
    patch.setattr("engines.shards.processes.get_context", lambda _: context)


def quick_pictures() -> None:
    """Let trainings share one picture of curves, once their module is loaded: a test trains in less than one takes.

    `drawn` is the real method, for the tests of the pictures.
    """
    module = sys.modules.get("trainer.training.metrics.recording")
    if module is None or hasattr(module, "drawn"):
        return
    recorder = module.Recorder
    module.drawn = recorder.draw  # type: ignore[attr-defined]

    def draw(self: Any) -> None:
        if len(self.rows) > 1 and self._file is not None:
            module.curves_path(self.out).write_bytes(ONE_PIXEL)

    recorder.draw = draw
