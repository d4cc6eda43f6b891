"""Keeps what a library makes anew at each call, and a process of tests needs thousands of times."""

from collections import OrderedDict
from typing import Any

MOST_PARSERS = 64


def keep_parsers() -> None:
    """Let tyro make the parser of a command once for the same defaults, where it takes 10 to 70 ms at each parse."""
    from tyro._parsers import ParserSpecification

    make = ParserSpecification.from_callable_or_type
    kept: OrderedDict[tuple[Any, str], ParserSpecification] = OrderedDict()

    def once(f: Any, *given: Any, **settings: Any) -> ParserSpecification:
        if settings.get("intern_prefix") != "" or settings["parent_classes"]:
            return make(f, *given, **settings)  # a section of a command
        key = f, repr(settings["default_instance"])
        if key not in kept:
            kept[key] = make(f, *given, **settings)
        kept.move_to_end(key)
        while len(kept) > MOST_PARSERS:
            kept.popitem(last=False)
        return kept[key]

    ParserSpecification.from_callable_or_type = staticmethod(once)  # type: ignore[method-assign]
