"""The keys: their list for the help, and a person's own in a TOML file."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path

from textual.binding import Binding, BindingType
from textual.keys import Keys, key_to_character

from console.errors import InputError
from console.reading import read_toml

KEY_CELLS = 14
SHOWN_KEYS = {
    "slash": "/",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "question_mark": "?",
    "escape": "esc",
    "space": "space",
    "equals_sign": "=",
}
LANGUAGE = """filter line
  winner:a  flipped:yes  margin<1  iter:3  len>500  broken:lowercase  judge!=human  "two words"
  : and = are the same; != < <= > >= compare; a,b is a or b; a minus before a term turns it round.
  Words without a field are looked for in the prompt and the answers. Right completes."""


def help_text(sections: Mapping[str, Iterable[BindingType]]) -> str:
    """Return the keys of each section as lines of a key and its action."""
    blocks = []
    for title, bindings in sections.items():
        known = [binding for binding in bindings if isinstance(binding, Binding)]
        lines = [f"  {shown_key(binding.key):<{KEY_CELLS}}{binding.tooltip}" for binding in known]
        blocks.append("\n".join([title, *lines]))
    return "\n\n".join([*blocks, LANGUAGE])


def shown_key(key: str) -> str:
    """Return a key as it is printed on a keyboard."""
    return " ".join(SHOWN_KEYS.get(name, name) for name in key.split(","))


def read_keymap(path: Path, bindings: Iterable[BindingType]) -> dict[str, str]:
    """Return a person's keys by the id of their binding, from a TOML file of lines such as `vote.a = "a"`.

    Raises InputError for an id that there is not, with the nearest one, and for a key that is no text.
    """
    ids = [binding.id for binding in bindings if isinstance(binding, Binding) and binding.id]
    keymap = _flat(read_toml(path))
    for name, keys in keymap.items():
        if name not in ids:
            close = get_close_matches(name, ids, n=1)
            hint = f": did you mean {close[0]}?" if close else f"; there are {', '.join(ids)}"
            raise InputError(f"{path}: no key '{name}'{hint}")
        if not isinstance(keys, str) or not keys.strip():
            raise InputError(f'{path}: {name} must be a key such as "x" or several with commas')
        keys_in(keys, f"{path}: {name}")
    return keymap


def keys_in(words: str, where: str) -> list[str]:
    """Return the keys in a text with commas between. Raises InputError, which begins with `where`, for an unknown one.

    A key is a character, or one of Textual's names, such as `enter` or `ctrl+r`.
    """
    keys = [word.strip() for word in words.split(",") if word.strip()]
    names = [key.value for key in Keys]
    for key in keys:
        last = key.rsplit("+", 1)[-1] if len(key) > 1 else key
        if key not in names and last not in names and len(last) != 1 and key_to_character(last) is None:
            near = get_close_matches(key, names, n=1)
            hint = f"did you mean {near[0]}?" if near else "keys are characters, or names such as enter, escape, ctrl+r"
            raise InputError(f"{where}: no key '{key}': {hint}")
    return keys


def _flat(table: Mapping[str, object], before: str = "") -> dict[str, str]:
    """Return a table's values by their whole name: TOML takes the dot of `vote.a` for a table in a table."""
    found: dict[str, str] = {}
    for name, value in table.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{before}{name}.")
        else:
            found[f"{before}{name}"] = value  # type: ignore[assignment]
    return found
