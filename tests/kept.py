"""Keeps what a library makes anew at each call, and a process of tests needs thousands of times."""

import sys
from collections import OrderedDict
from collections.abc import Callable
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
    """Let tyro make the parser of a command once for the same defaults, where it takes 10 to 150 ms at each parse.

    A parser is made of those of the command's sections and flags. Where one has another default, the others are kept.
    """
    from tyro import _docstrings, _parsers, _resolver

    make, handle = _parsers.ParserSpecification.from_callable_or_type, _parsers.handle_field
    command: list[Any] = []

    def begun(f: Any, **settings: Any) -> Any:
        outer = command[:]
        command[:] = outer or [f]
        try:
            return make(f, **settings)
        finally:
            command[:] = outer

    def of_command(f: Any, markers: Any, **settings: Any) -> Any:
        return *command, f, frozenset(markers), _defaults(settings, {"parent_classes", "description"})

    def of_flag(field: Any, **settings: Any) -> Any:
        flag = repr(field.default), field.intern_name, frozenset(field.markers)
        return *command, *flag, _defaults(settings, {"parent_classes"})

    _parsers.ParserSpecification.from_callable_or_type = staticmethod(_once(begun, of_command, MOST_PARSERS))
    _parsers.handle_field = _once(handle, of_flag, 20 * MOST_PARSERS)
    _resolver.get_type_hints_resolve_type_params = cache(_resolver.get_type_hints_resolve_type_params)
    _docstrings._ClassTokenization.make = staticmethod(cache(_docstrings._ClassTokenization.make))


def _once(make: Callable[..., Any], key_of: Callable[..., Any], most: int) -> Callable[..., Any]:
    """Return `make` with its last `most` results kept by what `key_of` makes of its arguments."""
    results: OrderedDict[Any, Any] = OrderedDict()

    def once(*arguments: Any, **settings: Any) -> Any:
        key = key_of(*arguments, **settings)
        if key not in results:
            results[key] = make(*arguments, **settings)
        results.move_to_end(key)
        if len(results) > most:
            results.popitem(last=False)
        return results[key]

    return once


def _defaults(settings: dict[str, Any], without: set[str]) -> str:
    return repr(sorted((name, value) for name, value in settings.items() if name not in without))


def quick_workers(patch: "pytest.MonkeyPatch") -> None:
    """Let worker processes begin with what they import: each would import it again, which takes a second.

    They come from a server, so they share no more with this process than new ones do.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload(["judges.judging.shards", "engines.served.openai_engine", "engines.served.sdk"])
    patch.setenv("PYTHONPATH", str(ROOT))  # the server's, which takes no path from here
    patch.setattr("engines.shards.processes.get_context", lambda _: context)


def short_configurations() -> None:
    """Let no model's settings be written out at each load, once transformers is there: it does so for an unread log."""
    module = sys.modules.get("transformers.configuration_utils")
    if module is not None:
        module.PreTrainedConfig.__repr__ = object.__repr__  # type: ignore[attr-defined]


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
