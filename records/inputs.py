"""Names an output after its input, and keeps it to the rows of one judge and one input."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import msgspec

from console import reading
from console.errors import InputError
from console.output import counted
from console.progress import say
from console.writing import check_writable
from records.disk import DiskSet
from records.keys import content_key
from records.rows import Comparison, Judgment, Message, Response
from records.store import Store

RowT = TypeVar("RowT", Judgment, Comparison)
KINDS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
COMMON = ("responses", "judgments", "model_outputs")
"""Names that say little: the folder's name is put before them."""
DIGITS = 6
MAX_BYTES = 100
"""Of the part of an output's name that one input gives: a file's name can have 255."""
ODD = re.compile(r"[/\\:\x00-\x1f\x7f]+")


def stem_of(source: str | Path) -> str:
    """Return an input's name without the endings that say how it is written: `Qwen2.5-7B` of `Qwen2.5-7B.jsonl.gz`."""
    name = Path(source).name
    for endings in ((".gz",), KINDS):  # in this order: rows.jsonl.gz loses both
        for ending in endings:
            if name.lower().endswith(ending) and len(name) > len(ending):
                name = name[: -len(ending)]
                break
    return name


def path_digest(*sources: str | Path) -> str:
    """Return a few hex digits of an input's path, or of a hub data set's name, or of several inputs' together."""
    paths = [str(Path(source).resolve() if Path(source).exists() else source) for source in sources]
    return content_key(*paths)[:DIGITS]


def output_name(*sources: str | Path) -> str:
    """Return the part of an output's name that its inputs give: their stems, or a hub data set's name, and a digest."""
    # The cut may fall into a letter of several bytes, whose rest is dropped.
    short = ODD.sub("-", "-".join(map(_input_name, sources))).encode()[:MAX_BYTES].decode(errors="ignore")
    return f"{short}-{path_digest(*sources)}"


def _input_name(source: str | Path) -> str:
    path = Path(source)
    whole = stem_of(path) if path.exists() else str(source)
    return f"{path.resolve().parent.name}-{whole}" if whole in COMMON else whole


def aside_of(out: Path) -> Path:
    """Return the file for the rows of an output that are no longer of its input."""
    return out.with_name(f"{out.stem}.left_out{out.suffix}")


def judged_key(answer: Response | Judgment) -> str:
    """Return a key that an answer and the judgments on it share, whatever its constraints and its reference are."""
    own_id = answer.id if isinstance(answer, Response) else answer.response_id
    return content_key(own_id, answer.prompt, answer.response, answer.model)


def compared_key(prompt_id: str, prompt: str | list[Message], a: str, b: str, model_a: str, model_b: str) -> str:
    """Return a key that two answers and the comparisons of them share, whatever the reference is."""
    return content_key(prompt_id, prompt, a, b, model_a, model_b)


def keep_to_input(
    store: Store[RowT],
    wanted: Callable[[], Iterable[str]],
    judge: str,
    source: str | Path,
    *,
    given: bool,
    answers: Callable[[], Iterable[str]] = tuple,
) -> None:
    """Keep `store` to rows with the ids `wanted`, which are all those that the whole input gives with this `judge`.

    Rows of the same judge that are no longer of the input, such as the row of an answer that was edited since, move to
    a file beside it. They come back once the input has them again. `answers` are the keys of the input's answers, by
    `judged_key` or `compared_key`: rows on them are of this input too, with other constraints or another reference.
    Raises InputError if there are rows of another judge, or if the user named the file (`given`) and it has no row of
    this input.
    """
    aside = aside_of(store.path)
    if store.is_empty and not aside.exists():
        return
    ids = DiskSet()
    for row_id in wanted():
        ids.add(row_id)
    # Before the strangers are counted: a file all of whose rows were set aside would look like another input's.
    n_back = store.take_back(ids, aside) if aside.exists() else 0
    if n_back:
        say(f"{store.path}: {counted(n_back, 'rows')} of this input again, taken back from {aside}")
    strangers = [row_id for row_id in store.known_ids() if row_id not in ids]
    if not strangers:
        return
    if others := _paid_judges(store.chosen(strangers)) - {judge}:
        raise InputError(_of_another(store.path, others, judge))
    if unpaid := {row.id for row in store.chosen(strangers) if row.judge != judge}:
        store.move_out([row_id for row_id in strangers if row_id in unpaid], aside)
        strangers = [row_id for row_id in strangers if row_id not in unpaid]
    if not strangers:
        return
    n_rows = sum(1 for _ in store.known_ids())
    n_changed = _n_on(answers(), store.chosen(strangers))
    if given and len(strangers) == n_rows and not n_changed:
        raise InputError(
            f"{store.path}: holds {counted(n_rows, 'rows')} of another input than {source}: give another --out, or "
            "--fresh, which sets them aside"
        )
    store.move_out(strangers, aside)
    if n_changed:
        what = f"{counted(n_changed, 'rows')} on answers of {source}, judged with other constraints or references"
        say(f"{store.path}: {what} than now: moved to {aside}, and the answers are judged again")
    if n_gone := len(strangers) - n_changed:
        say(f"{store.path}: {counted(n_gone, 'rows')} that {source} no longer gives: moved to {aside}")


def _n_on(answers: Iterable[str], rows: Iterable[Judgment | Comparison]) -> int:
    """Return how many rows are verdicts on one of the `answers`."""
    keys = DiskSet()
    for key in answers:
        keys.add(key)
    return sum(_verdict_key(row) in keys for row in rows)


def _verdict_key(row: Judgment | Comparison) -> str:
    if isinstance(row, Judgment):
        return judged_key(row)
    return compared_key(row.prompt_id, row.prompt, row.response_a, row.response_b, row.model_a, row.model_b)


def keep_to_judge(store: Store[RowT], judge: str) -> None:
    """Raise InputError if `store` has rows of another judge, whichever rows of an input these are."""
    if others := _paid_judges(store.rows()) - {judge}:
        raise InputError(_of_another(store.path, others, judge))


def _paid_judges(rows: Iterable[Judgment | Comparison]) -> set[str]:
    """Return the judges of all rows but those that no call was made for, such as the row of an empty answer.

    A judge that cannot be used, because its server refuses the reading, leaves no others. They must not be in the way
    of the next judge.
    """
    return {row.judge for row in rows if row.usage.n_calls or row.error is None}


def _of_another(path: Path, others: set[str], judge: str) -> str:
    return (
        f"{path}: holds rows of another judge ({', '.join(sorted(others)[:3])}; this one is {judge}): "
        "give another --out, or --fresh, which sets them aside"
    )


def check_out(out: Path | None, *inputs: str | Path | None) -> None:
    """Raise InputError if the user's output is one of the inputs, which it would overwrite.

    Raises StoreError if nothing can be written there.
    """
    if out is not None:
        check_writable(out)
    for source in inputs:
        if out and source and out.exists() and Path(source).exists() and out.samefile(source):
            raise InputError(f"--out {out} is the input itself; give another one")


def check_panel_out(out: Path) -> None:
    """Raise InputError if the file that a panel's rows replace has other rows, because another judge's are paid for."""
    try:
        with out.open("rb") as file:
            first = file.readline(reading.MOST_BYTES_A_LINE).strip()
    except FileNotFoundError:
        return
    except OSError as error:
        raise InputError(f"{out}: cannot be read: {error.strerror}") from None
    try:
        read = msgspec.json.decode(first, type=dict[str, object]).get("read") if first else "panel"
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        read = None
    if read != "panel":
        raise InputError(f"{out}: holds something else than a panel's rows: give another --out")
