"""What tells a served model from others: its name and what its server says it is, never where the server is."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from records.keys import content_key

STABLE = (
    "root", "parent", "revision", "sha", "commit", "digest", "hash", "model_hash", "fingerprint", "version",
    "checkpoint", "quantization", "weights",
)  # fmt: skip
"""What servers say of a model that stays the same as long as it does; `created` is the time of asking in some."""
OF_FILE = ("n_params", "n_vocab", "n_embd", "size")
"""What llama.cpp says of its file, under `meta`."""
Said = tuple[tuple[str, str], ...]


@dataclass
class ServedModel:
    """A model behind a server, as its name and its server describe it."""

    name: str
    served_as: str | None
    """The name that a person gives the model, in place of all that the server says."""
    ask: Callable[[], object] = field(repr=False)
    """Returns the server's list of models as plain data, None where it has none; called once, if at all."""

    @cached_property
    def identity(self) -> str:
        """16 hex digits of what tells this model from others."""
        if self.served_as is not None:
            return content_key("served", self.served_as, ())
        return content_key("served", self.name, said_of(self.ask(), self.name))


def said_of(listing: object, name: str) -> Said:
    """Return what a list of models says of the one called `name`: its entry, or the only one there is.

    Nothing is said where the list has another form, or only what the name says already.
    """
    if isinstance(listing, Mapping):
        listing = listing.get("data") or listing.get("models")
    entries = [one for one in listing if isinstance(one, Mapping)] if isinstance(listing, list) else []
    named = [one for one in entries if name in (one.get("id"), one.get("name"), one.get("model"))]
    if not named and len(entries) == 1:
        named = entries
    if not named:
        return ()
    entry = named[0]
    meta = entry.get("meta")
    facts = {key: entry.get(key) for key in STABLE}
    facts |= {f"meta.{key}": meta.get(key) for key in OF_FILE} if isinstance(meta, Mapping) else {}
    facts["id"] = entry.get("id")
    kept = {key: str(value) for key, value in facts.items() if isinstance(value, str | int | float) and value != ""}
    return tuple(sorted((key, value) for key, value in kept.items() if value != name))


def listings(base: str) -> list[str]:
    """Return the addresses where a server at `base` may list its models; a missing version in the path is added."""
    place, mark, query = base.partition("?")
    place = place.rstrip("/")
    places = [place] if re.search(r"/v\d[\w.]*(?:/\w+)?$", place) else [place, f"{place}/v1"]
    return [f"{one}/models{mark}{query}" for one in places]
