"""The identity of a served model: its name and its server's description of it, never the server's address."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from console.errors import InputError
from console.flags import spelled
from console.progress import say
from records.keys import content_key

STABLE = (
    "root", "parent", "revision", "sha", "commit", "digest", "hash", "model_hash", "fingerprint", "version",
    "checkpoint", "quantization", "weights",
)  # fmt: skip
"""Fields of a model's description that change only with the model. `created` is the time of asking on some servers."""
OF_FILE = ("n_params", "n_vocab", "n_embd", "size")
"""llama.cpp's fields of its file, under `meta`."""
WHEN_SILENT = "try again later, or give another --out, or --served-as with a name for the model"
Said = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Nothing:
    """A server that can be reached does not say what it serves."""

    why: str
    may_pass: bool
    """True if it may do so later."""


@dataclass
class ServedModel:
    """A model behind a server, as its name and its server describe it."""

    name: str
    served_as: str | None
    """The name that a person gives the model, in place of all that the server says."""
    ask: Callable[[], object] = field(repr=False)
    """Returns the server's list of models as plain data, None if it is not asked or not reached, or why there is none.
    It is called at most once."""

    @cached_property
    def identity(self) -> str:
        """16 hex digits of what tells this model from others."""
        if self.served_as is not None:
            return content_key("served", self.served_as, ())
        if (silence := self.silence) is not None:
            what = f"{self.name}: its server does not say what it serves ({silence.why}), so it is known by this name "
            what += "alone, and as another model than where the server says more; --served-as NAME stands for both"
            say(spelled(what))
        return content_key("served", self.name, said_of(self._listing, self.name))

    @property
    def by_name(self) -> str:
        """The identity of a model of this name of which its server says nothing."""
        return content_key("served", self.name, ())

    @cached_property
    def silence(self) -> Nothing | None:
        """The reason why a server that answers says nothing of the model. None if it says something or is not asked."""
        if self.served_as is not None or self._listing is None:
            return None
        if isinstance(self._listing, Nothing):
            return self._listing
        return None if _entry(self._listing, self.name) else Nothing("/models: lists no such name", False)

    @cached_property
    def _listing(self) -> object:
        return self.ask()


def silence_of(engine: object) -> Nothing | None:
    """Return why an engine's server says nothing of its model, or None if it does or if there is no server."""
    model = getattr(engine, "model", None)
    return model.silence if isinstance(model, ServedModel) else None


def refuse_or_say(what: str, silence: Nothing) -> None:
    """Raise InputError if a server may describe its model later, so that nothing is paid for twice. Otherwise warn."""
    if silence.may_pass:
        raise InputError(spelled(f"{what}; now it does not ({silence.why}): {WHEN_SILENT}"))
    say(spelled(f"{what}; now it does not ({silence.why}), and all is asked anew"))


def said_of(listing: object, name: str) -> Said:
    """Return the facts on the model called `name` in a list of models, from its entry or the only one.

    There are none if the list has another form or repeats only the name.
    """
    entry = _entry(listing, name)
    if entry is None:
        return ()
    meta = entry.get("meta")
    facts = {key: entry.get(key) for key in STABLE}
    facts |= {f"meta.{key}": meta.get(key) for key in OF_FILE} if isinstance(meta, Mapping) else {}
    facts["id"] = entry.get("id")
    texts = {key: str(value) for key, value in facts.items() if isinstance(value, str | int | float) and value != ""}
    return tuple(sorted((key, value) for key, value in texts.items() if value != name))


def names_in(listing: object) -> list[str]:
    """Return the names of the models in a list of models."""
    return [str(entry.get("id") or entry.get("name") or entry.get("model")) for entry in _entries(listing)]


def _entries(listing: object) -> list[Mapping[str, Any]]:
    if isinstance(listing, Mapping):
        listing = listing.get("data") or listing.get("models")
    return [entry for entry in listing if isinstance(entry, Mapping)] if isinstance(listing, list) else []


def _entry(listing: object, name: str) -> Mapping[str, Any] | None:
    entries = _entries(listing)
    named = [entry for entry in entries if name in (entry.get("id"), entry.get("name"), entry.get("model"))]
    if not named and len(entries) == 1:
        named = entries
    return named[0] if named else None


def listings(base: str) -> list[str]:
    """Return the addresses at which a server at `base` may list its models. A missing version in the path is added."""
    place, mark, query = base.partition("?")
    place = place.rstrip("/")
    places = [place] if re.search(r"/v\d[\w.]*(?:/\w+)?$", place) else [place, f"{place}/v1"]
    return [f"{place}/models{mark}{query}" for place in places]
