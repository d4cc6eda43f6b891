"""Judged pairs as a list for the screen: a short row per pair, with the texts read on demand. Loads no Textual."""

from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from console.errors import InputError, RowError
from console.reading import lines_up_to
from records.fields.labelled import Labels, check_codes
from records.fields.labels import Codes
from records.fields.notes import Notes
from records.files import BadRows, decode_record, is_indexed
from records.rows import Pair, text_of
from records.runs import ITERATION, RUNS, Run, find_run
from records.shapes import pairs_of, read_pairs
from tui.text import cell_text, known_number

PAIRS = "pairs.jsonl"
MOST_ROWS = 2_000
WINDOW_ROWS = 500


@dataclass(frozen=True, slots=True)
class PairRow:
    """The table's view of one pair."""

    number: int
    """The pair's number in the file, from 1. It never changes, so it is the row's key."""
    prompt_id: str
    prompt_start: str
    chosen_score: float | None
    rejected_score: float | None
    margin: float | None
    chosen_chars: int
    delta_chars: int
    """Characters of the chosen answer minus those of the rejected one."""
    iteration: int | None
    """The number in the name of the file's folder, `iterN`, or None."""


SORT_KEYS: dict[str, Callable[[PairRow], float | str | None]] = {
    "number": lambda summary: summary.number,
    "prompt": lambda summary: summary.prompt_start.casefold(),
    "chosen": lambda summary: summary.chosen_score,
    "rejected": lambda summary: summary.rejected_score,
    "margin": lambda summary: summary.margin,
    "Δchars": lambda summary: summary.delta_chars,
    "iter": lambda summary: summary.iteration,
}
"""The sortable columns, in the order of the table."""


class Bodies(Protocol):
    """The full pairs, by position."""

    def __getitem__(self, index: int, /) -> Pair: ...
    def __iter__(self) -> Iterator[Pair]: ...


class FileBodies:
    """Pairs left in their JSONL file, with only the offset of each line in memory."""

    def __init__(self, path: Path, codes: Codes | None) -> None:
        self._path = path
        self._codes = codes
        self._offsets = array("q")  # 8 bytes each; a list of ints would take 40
        self._places = array("i")  # the pair's place among those of its line

    def add(self, offset: int, place: int) -> int:
        """Add a pair and return its number, from 1."""
        self._offsets.append(offset)
        self._places.append(place)
        return len(self._offsets)

    def __getitem__(self, index: int, /) -> Pair:
        return next(self._read(slice(index, index + 1)))

    def __iter__(self) -> Iterator[Pair]:
        return self._read(slice(None))

    def _read(self, part: slice) -> Iterator[Pair]:
        try:
            with self._path.open("rb") as file:
                for offset, place in zip(self._offsets[part], self._places[part], strict=True):
                    file.seek(offset)
                    yield pairs_of(decode_record(file.readline()), self._codes, empty=True)[place]
        except (OSError, InputError, IndexError):
            raise InputError(f"{self._path}: has changed since it was opened; quit and open it again") from None


@dataclass(frozen=True)
class PairList:
    """All pairs of one file."""

    source: str
    rows: list[PairRow]
    bodies: Bodies
    n_bad: int
    """Rows of the file that are no pair and are left out."""

    def body(self, summary: PairRow) -> Pair:
        """Return the full pair of `summary`. Raises InputError if the file has changed."""
        pair = self.bodies[summary.number - 1]
        if pair.prompt_id != summary.prompt_id:  # another row at the offset, in a file written anew
            raise InputError(f"{self.source}: has changed since it was opened; quit and open it again")
        return pair

    def matching(self, text: str, stopped: Callable[[], bool] = lambda: False) -> list[PairRow]:
        """Return the rows whose prompt or answers contain `text`, ignoring case. Ends early if `stopped`."""
        wanted = text.casefold()
        if not wanted:
            return self.rows
        matches = []
        for summary, pair in zip(self.rows, self.bodies, strict=True):
            if stopped():
                break
            if any(wanted in text_of(part).casefold() for part in (pair.prompt, pair.chosen, pair.rejected)):
                matches.append(summary)
        return matches


def find_pairs(given: Path | None) -> Path:
    """Return the file of pairs that `given` names: a file, an iteration's folder, a run, or None for the newest run.

    Raises InputError if it names nothing.
    """
    if given is None:
        return _last_pairs(find_run())
    for folder in (given, RUNS / given):  # a name of a run is short for its folder
        if (folder / PAIRS).is_file():
            return folder / PAIRS
        if (folder / "run.toml").exists():
            return _last_pairs(find_run(str(given)))
    named_like_a_run = (len(given.parts) == 1 and not given.suffix) or given.parts[:1] == RUNS.parts
    if named_like_a_run and not given.exists():
        find_run(str(given))  # raises, and names the existing runs
    return given


def load_pairs(path: Path, *, strict: bool = False, codes: Codes | None = None) -> PairList:
    """Return the pairs of `path`, indexed if it is plain JSONL, else read into memory.

    `codes` give the meaning of the labels of two answers. Raises InputError if there is no pair. Bad rows are reported
    on stderr and counted, and so are ties.
    """
    bad = BadRows(strict=strict)
    bodies: Bodies
    if is_indexed(path):
        rows, bodies = _indexed(path, bad, codes)
    else:
        bodies = list(read_pairs(path, bad, codes, empty=True))
        rows = [_summary(number, pair, path) for number, pair in enumerate(bodies, start=1)]
    if not rows:
        raise InputError(f"{path}: no pair to show: {bad.n_bad} bad rows, and ties are left out")
    return PairList(str(path), rows, bodies, bad.n_bad)


def sorted_rows(rows: Sequence[PairRow], column: str, *, descending: bool = False) -> list[PairRow]:
    """Return `rows` sorted by `column`, in a stable order. Rows without a value come last in either order."""
    value = SORT_KEYS[column]
    # apart, because None cannot be compared, and `reverse` would bring it to the front
    known = [pair for pair in rows if value(pair) is not None]
    unknown = [pair for pair in rows if value(pair) is None]
    return sorted(known, key=value, reverse=descending) + unknown  # type: ignore[arg-type]


def window(rows: list[PairRow]) -> list[PairRow]:
    """Return the rows to put in the table: all of them, or the first 500 if there are more than 2,000."""
    return rows if len(rows) <= MOST_ROWS else rows[:WINDOW_ROWS]


def counts_text(n_pairs: int, n_found: int, n_shown: int, n_bad: int) -> str:
    """Return the counts of the header, for example "24 pairs, 3 shown, 1 bad row"."""
    text = f"{n_pairs:,} {'pair' if n_pairs == 1 else 'pairs'}, {n_shown:,} shown"
    if n_shown < n_found:
        text += f" (first of {n_found:,})"
    if n_bad:
        text += f", {n_bad:,} bad {'row' if n_bad == 1 else 'rows'}"
    return text


def _last_pairs(run: Run) -> Path:
    path = run.newest(PAIRS, grows=False)  # written whole, so it is complete if it exists
    if path is None:
        raise InputError(f"{run.folder}: no iteration has a {PAIRS} yet; wait for one, or name a file")
    return path


def _indexed(path: Path, bad: BadRows, codes: Codes | None) -> tuple[list[PairRow], FileBodies]:
    check_codes(path, codes)
    rows: list[PairRow] = []
    bodies, notes, labels = FileBodies(path, codes), Notes(str(path)), Labels(path, codes)
    end = 0
    try:
        with path.open("rb") as file:
            for number, line in enumerate(lines_up_to(file, path), start=1):
                start, end = end, end + len(line)
                if not line.strip():
                    continue
                try:
                    record = decode_record(line)
                    pairs = pairs_of(labels.seen(record), codes, empty=True)
                except InputError as error:
                    bad.add(RowError(f"{path}:{number}: {error}"))
                    continue
                notes.tie(record, len(pairs))
                for place, pair in enumerate(pairs):
                    rows.append(_summary(bodies.add(start, place), pair, path))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    if end == 0:  # not a single byte, unlike a file of bad rows
        raise InputError(f"{path}: the file has no rows")
    labels.check()
    notes.say()
    return rows, bodies


def _summary(number: int, pair: Pair, path: Path) -> PairRow:
    iteration = ITERATION.fullmatch(path.parent.name)
    n_chosen, n_rejected = len(text_of(pair.chosen)), len(text_of(pair.rejected))
    return PairRow(
        number=number,
        prompt_id=pair.prompt_id,
        prompt_start=cell_text(text_of(pair.prompt)),
        chosen_score=known_number(pair.chosen_score),
        rejected_score=known_number(pair.rejected_score),
        margin=known_number(pair.margin),
        chosen_chars=n_chosen,
        delta_chars=n_chosen - n_rejected,
        iteration=int(iteration[1]) if iteration else None,
    )
