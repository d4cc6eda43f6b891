"""What tells a served model from others: its name and what its server says it is, never where the server is."""

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
"""What servers say of a model that stays the same as long as it does; `created` is the time of asking in some."""
OF_FILE = ("n_params", "n_vocab", "n_embd", "size")
"""What llama.cpp says of its file, under `meta`."""
WHEN_SILENT = "try again later, or give another --out, or --served-as with a name for the model"
Said = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Nothing:
    """A server that can be reached does not say what it serves."""

    why: str
    may_pass: bool
    """Whether it may say so later."""


@dataclass
class ServedModel:
    """A model behind a server, as its name and its server describe it."""

    name: str
    served_as: str | None
    """The name that a person gives the model, in place of all that the server says."""
    ask: Callable[[], object] = field(repr=False)
    """Returns the server's list of models as plain data, None if it is not asked or cannot be, or why it gives none;
    called once, if at all."""

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
        """Why the server says nothing of the model, though it answers, or None if it says something or is not asked."""
        if self.served_as is not None or self._listing is None:
            return None
        if isinstance(self._listing, Nothing):
            return self._listing
        return None if _entry(self._listing, self.name) else Nothing("/models: lists no such name", False)

    @cached_property
    def _listing(self) -> object:
        return self.ask()


def silence_of(engine: object) -> Nothing | None:
    """Return why the server of an engine says nothing of its model, or None if it does, or where there is none."""
    model = getattr(engine, "model", None)
    return model.silence if isinstance(model, ServedModel) else None


def refuse_or_say(what: str, silence: Nothing) -> None:
    """Raise InputError if a server may say later what it serves, so that nothing is paid for twice; else say it."""
    if silence.may_pass:
        raise InputError(spelled(f"{what}; now it does not ({silence.why}): {WHEN_SILENT}"))
    say(spelled(f"{what}; now it does not ({silence.why}), and all is asked anew"))


def said_of(listing: object, name: str) -> Said:
    """Return what a list of models says of the one called `name`: its entry, or the only one there is.

    Nothing is said where the list has another form, or only what the name says already.
    """
    entry = _entry(listing, name)
    if entry is None:
        return ()
    meta = entry.get("meta")
    facts = {key: entry.get(key) for key in STABLE}
    facts |= {f"meta.{key}": meta.get(key) for key in OF_FILE} if isinstance(meta, Mapping) else {}
    facts["id"] = entry.get("id")
    kept = {key: str(value) for key, value in facts.items() if isinstance(value, str | int | float) and value != ""}
    return tuple(sorted((key, value) for key, value in kept.items() if value != name))


def _entry(listing: object, name: str) -> Mapping[str, Any] | None:
    if isinstance(listing, Mapping):
        listing = listing.get("data") or listing.get("models")
    entries = [one for one in listing if isinstance(one, Mapping)] if isinstance(listing, list) else []
    named = [one for one in entries if name in (one.get("id"), one.get("name"), one.get("model"))]
    if not named and len(entries) == 1:
        named = entries
    return named[0] if named else None


def listings(base: str) -> list[str]:
    """Return the addresses where a server at `base` may list its models; a missing version in the path is added."""
    place, mark, query = base.partition("?")
    place = place.rstrip("/")
    places = [place] if re.search(r"/v\d[\w.]*(?:/\w+)?$", place) else [place, f"{place}/v1"]
    return [f"{one}/models{mark}{query}" for one in places]
