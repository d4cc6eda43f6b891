"""The flag that sets the variables of a chat template."""

import json
from typing import Annotated, Any

import tyro

from console.errors import InputError


def _refused(name: str) -> None:
    raise ValueError(f"{name} is no number in JSON")


def _read(words: list[str]) -> dict[str, Any]:
    try:
        value = json.loads(words[0], parse_constant=_refused)
        json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError) as error:
        raise InputError(f"--chat-template-kwargs: not JSON: {error}: {words[0][:80]!r}") from None
    if not isinstance(value, dict):
        example = '{"enable_thinking": false}'
        raise InputError(f"--chat-template-kwargs: a JSON object is meant, such as {example}, not {words[0][:80]!r}")
    return value


ChatTemplateKwargs = Annotated[
    dict[str, Any],
    tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="JSON",
        instance_from_str=_read,
        is_instance=lambda value: isinstance(value, dict),
        str_from_instance=lambda value: [json.dumps(value)],
    ),
]
"""Variables of a chat template and their values: a JSON object on the command line, a table in a TOML file."""
