"""A titled table, and how its cells are written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from judges.intervals.bootstrap import Estimate
from judges.judging.win_rate import WinRate

Row = Mapping[str, str | None]


@dataclass(frozen=True)
class Table:
    """Rows that share their keys, with a title and a note below. None in a cell is unknown."""

    title: str
    rows: list[Row]
    note: str = ""


def table_of(title: str, rows: Sequence[Row], note: str = "", notes: Mapping[str, str] | None = None) -> Table:
    """Return the table without the columns that no row has a value for. `notes` explain columns by their names."""
    names = [name for name in (rows[0] if rows else ()) if any(row.get(name) is not None for row in rows)]
    explained = [text for name, text in (notes or {}).items() if name in names]
    return Table(title, [{name: row.get(name) for name in names} for row in rows], " ".join([note, *explained]).strip())


def percent(share: Estimate | None) -> str | None:
    """Return a share in percent with its interval, or None."""
    if share is None or share.value is None:
        return None
    return number(100 * share.value) + interval(share.low, share.high, 100)


def points(gain: Estimate | None) -> str | None:
    """Return a difference of shares in points with its sign and interval, or None."""
    if gain is None or gain.value is None:
        return None
    return f"{100 * gain.value:+.1f}{interval(gain.low, gain.high, 100)}"


def rate(win_rate: WinRate | None) -> str | None:
    """Return a win rate in percent with its interval, or None."""
    if win_rate is None or win_rate.percent is None:
        return None
    low, high = win_rate.low, win_rate.high
    if low is None and win_rate.half_width is not None:  # a file of an earlier version
        low, high = win_rate.percent - win_rate.half_width, win_rate.percent + win_rate.half_width
    return number(win_rate.percent) + interval(low, high)


def interval(low: float | None, high: float | None, times: float = 1) -> str:
    """Return an interval in brackets after a space, or nothing."""
    return "" if low is None or high is None else f" [{times * low:.1f}, {times * high:.1f}]"


def number(value: float | None, digits: int = 1) -> str:
    """Return a number with so many digits after the point, or an empty text."""
    return "" if value is None else f"{value:,.{digits}f}"


def known(value: float | None, digits: int = 2) -> str | None:
    """Return a number as text, or None."""
    return None if value is None else number(value, digits)


def whole(value: int | None) -> str | None:
    """Return a count as text, or None."""
    return None if value is None else f"{value:,}"


def duration(seconds: float) -> str | None:
    """Return a time as a person says it, or None for none."""
    if seconds <= 0:
        return None
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
