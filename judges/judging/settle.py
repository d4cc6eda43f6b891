"""Settles the identity of a served judge before rows are made: the settings that its server refuses, and its name."""

import re
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import TypeVar

import msgspec

from console import reading
from console.errors import InputError
from console.flags import about_judge, spelled
from console.progress import say
from engines.protocol import Request, choices_from
from engines.served.identity import WHEN_SILENT, Nothing, refuse_or_say, silence_of
from judges.judging.judge import Judge
from judges.options import OF_CHOICES
from records import Comparison, Judgment, Store

VerdictT = TypeVar("VerdictT", Judgment, Comparison)
KEY = re.compile(r"(?<![0-9a-f])[0-9a-f]{16}(?![0-9a-f])")


def settle(judge: Judge, store: Store[VerdictT], first: Callable[[], Request], *, in_panel: bool = False) -> None:
    """Ask the `first` question if `store` has rows that this judge made with fewer settings.

    If the server still refuses those settings, this raises StartAgain, and the command begins again as the judge of
    these rows. If it does not, the rows are another judge's. Raises InputError if the rows may be this judge's and its
    server does not say at present what it serves. With `in_panel`, similar file names are not taken for a sign of
    that, because the panel's other judges have such names. A judge that is asked nothing has nothing to settle.
    """
    if not judge.is_asked:
        return
    old = next(iter(store.chosen(islice(store.known_ids(), 1))), None)
    silence = silence_of(judge.engine)
    if old is None and in_panel:
        return
    if old is None:
        if silence is not None:
            _check_others(judge, store.path, silence)
        elif (digest := getattr(judge.engine, "digest_by_name", None)) is not None:
            _say_by_name(judge, store.path, judge.fingerprint_with(digest))
        return
    less = getattr(judge.engine, "digests_with_less", ())  # of a served model
    if old.judge == judge.fingerprint:
        return
    if old.judge not in map(judge.fingerprint_with, less):
        if silence is not None:
            what = f"{store.path}: holds rows of another judge ({old.judge}; this one is {judge.fingerprint}), or of "
            what += f"this one where its server said what it serves, which it does not now ({silence.why})"
            raise InputError(spelled(f"{what}: {WHEN_SILENT}", of_judge=True))
        _say_other_reading(judge, old, store.path)
        return
    _ask(judge, first())


def settle_shared(judge: Judge, store: Store[VerdictT], first: Callable[[], Request]) -> None:
    """Do the same for a file that keeps the rows of every judge, such as an evaluation's.

    Raises InputError if its rows may be this judge's and the server may say later what it serves.
    """
    judges = {stored_row.judge for stored_row in store.rows()}
    if not judges or judge.fingerprint in judges:
        return
    if judges & set(map(judge.fingerprint_with, getattr(judge.engine, "digests_with_less", ()))):
        _ask(judge, first())
    elif (silence := silence_of(judge.engine)) is not None:
        what = f"{store.path}: may have this judge's rows, from when its server said what it serves"
        with about_judge():
            refuse_or_say(what, silence)


def settle_as(judge: Judge, fingerprint: str, first: Callable[[], Request]) -> None:
    """Do the same for rows that are known by their judge's `fingerprint`."""
    if fingerprint in map(judge.fingerprint_with, getattr(judge.engine, "digests_with_less", ())):
        _ask(judge, first())


def own_fingerprints(judge: Judge) -> set[str]:
    """Return the fingerprints that this judge's rows may have, those of fewer settings included."""
    return {judge.fingerprint, *map(judge.fingerprint_with, getattr(judge.engine, "digests_with_less", ()))}


def _ask(judge: Judge, first: Request) -> None:
    if judge.read in OF_CHOICES:
        list(judge.engine.choose([first], judge.rubric.logprobs.choices))
    else:
        list(judge.engine.generate([first], judge.sampling))


def _say_other_reading(judge: Judge, old: Judgment | Comparison, out: Path) -> None:
    """Say if the rows of `out` were read from a server's log-probabilities in the other way."""
    if not (old.read == judge.read == "logprobs" and hasattr(judge.engine, "choosing")):
        return
    before, now = old.choices_from or "reply", choices_from(judge.engine)  # earlier versions had only one way
    if before != now:
        where = {"vocabulary": "all tokens", "reply": "the likeliest tokens of a reply"}
        what = f"its log-probabilities are of {where[before]}, and those of {judge.engine.name} now of {where[now]}"
        say(f"{out}: {what}")


def _check_others(judge: Judge, out: Path, silence: Nothing) -> None:
    """Name files beside an empty `out` that may have this judge's rows. Raises InputError if the server may recover."""
    fingerprints = own_fingerprints(judge)
    # Rows made without the settings that this server refuses are found as soon as it refuses them.
    others = sorted(path.name for path in _beside(out) if _judge_of(path) not in {None, *fingerprints})
    if not others:
        return
    with about_judge():
        what = f"{out}: may be judged already, in {', '.join(others[:3])}, where its server said what it serves"
        refuse_or_say(what, silence)


def _say_by_name(judge: Judge, out: Path, by_name: str) -> None:
    """Name the files whose rows were made while the server did not say what it serves."""
    for other in _beside(out):
        if by_name != judge.fingerprint and _judge_of(other) == by_name:
            what = "its server says now what it serves, and did not when"
            say(f"{judge.engine.name}: {what} {other} was judged: all is asked anew, for {out}")


def _beside(out: Path) -> Iterator[Path]:
    """Yield the files whose names, or whose folders' names, differ from that of `out` only in the judge's key."""
    for place, within in ((out, ""), (out.parent, out.name)):
        if (key := KEY.search(place.name)) is not None:
            named = re.compile(re.escape(place.name[: key.start()]) + KEY.pattern + re.escape(place.name[key.end() :]))
            others = (path for path in place.parent.iterdir() if named.fullmatch(path.name) and path.name != place.name)
            yield from (path / within for path in others)
            return


def _judge_of(path: Path) -> str | None:
    """Return the fingerprint in a file's first row, or None."""
    try:
        with path.open("rb") as file:
            judge = msgspec.json.decode(file.readline(reading.MOST_BYTES_A_LINE), type=dict[str, object]).get("judge")
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return judge if isinstance(judge, str) else None
