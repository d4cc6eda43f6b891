"""What names a row in the files of other benchmarks: its id, its model, its judge."""

from console.errors import InputError
from records.fields.messages import text_in
from records.fields.values import fields_of
from records.files import Record

SHOWN = 5


def id_in(record: Record, *names: str) -> str:
    """Return the first of the fields `names` that holds an id, as text. Raises InputError if there is none."""
    for name in names:
        value = record.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool) and str(value).strip():
            return text_in(str(value), name)
    raise InputError(f"no '{names[0]}': found {fields_of(record)}")


def name_in(record: Record, *names: str) -> str | None:
    """Return the first of the fields `names` that holds a text, or None."""
    texts = (record.get(name) for name in names)
    return next((text_in(text, names[0]) for text in texts if isinstance(text, str) and text.strip()), None)


def listed(ids: list[str]) -> str:
    """Return ids for a message, only the first of many."""
    return ", ".join(ids[:SHOWN]) + (f", and {len(ids) - SHOWN} more" if len(ids) > SHOWN else "")
