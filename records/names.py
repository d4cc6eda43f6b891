"""Names that become folders: one that a person gives is checked, one of a model is mapped."""

import hashlib
import re

from console.errors import InputError
from console.visible import is_hidden, one_line

LONGEST_BYTES = 200
"""File systems take 255, and `.12` or `.tmp` may follow."""
LONGEST_STEM = 80
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_MAPPED = re.compile(r".*-[0-9a-f]{8}")


def checked_name(name: str, what: str) -> str:
    """Return `name` if it is one plain part of a path. `what` is its origin, for the message.

    Raises InputError for an empty name, one that leads elsewhere, one that is hidden or looks like a flag, one with
    characters that a terminal hides or obeys, and one that is too long for a file system.
    """
    if problem := _problem(name):
        shown = one_line(name if len(name) <= LONGEST_STEM else f"{name[:LONGEST_STEM]}…")
        raise InputError(f"{what} '{shown}' {problem}; give one plain folder name, such as demo or qwen3-8b")
    return name


def folder_name(name: str) -> str:
    """Return the folder for a name, such as that of a model on the hub. Two names never share a folder.

    A name of letters, digits, `.`, `_` and `-` stays as it is. In any other name the remaining characters become `_`,
    and a digest of the whole name follows. A name that looks like such a folder gets a digest too.
    """
    if (
        _problem(name) is None
        and not _UNSAFE.search(name)
        and not _MAPPED.fullmatch(name)
        and len(name) <= LONGEST_STEM
    ):
        return name
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    stem = _UNSAFE.sub("_", name[:LONGEST_STEM]).strip("._-") or "model"
    return f"{stem}-{digest}"


def _problem(name: str) -> str | None:
    if not name.strip():
        return "is empty"
    if "/" in name or "\\" in name or name in (".", ".."):
        return "is a path"
    if any(is_hidden(character) for character in name):
        return "has a control character or one that is not seen"
    if name[0] in ".-":
        return f"begins with '{name[0]}'"
    if name != name.strip():
        return "begins or ends with a space"
    if len(name.encode("utf-8")) > LONGEST_BYTES:
        return f"is longer than {LONGEST_BYTES} bytes"
    return None
