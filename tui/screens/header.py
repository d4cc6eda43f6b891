"""The first line: what is shown, how much of it, and in which state."""

from pathlib import Path

from textual.content import Content

from console.visible import visible
from tui.browsing.state import ALL, Browsing

FEWEST_NAME_CHARS = 12


def header_text(browsing: Browsing, message: str, width: int) -> Content:
    """Return the line, its name cut to what the counts leave."""
    counts = counts_text(browsing, message)
    name = Content.styled(f" {short_name(browsing.table.source.name, width - len(counts) - 3)} ", "bold")
    return Content.assemble(name, f" {counts}")


def counts_text(browsing: Browsing, message: str) -> str:
    """Return the counts and states, such as `[pairs 24] judgments 96 │ 3 shown │ 1 bad row`."""
    kinds = browsing.table.kinds()
    shown = [f"[{kind}s {n:,}]" if kind == browsing.kind else f"{kind}s {n:,}" for kind, n in reversed(kinds.items())]
    kinds_shown = " ".join([*shown, *(["[all]"] if browsing.kind == ALL else [])])
    parts = [*filter(None, [kinds_shown]), f"{len(browsing.order):,} shown"]
    if browsing.table.n_bad:
        parts.append(f"{browsing.table.n_bad:,} bad {'row' if browsing.table.n_bad == 1 else 'rows'}")
    if browsing.table.n_torn:
        parts.append("last line not whole")
    if browsing.blind:
        parts.append("BLIND")
    if browsing.queue is not None or browsing.blind:
        done, n = browsing.n_mine()
        parts.append(f"{browsing.queue or 'voted'} {done:,}/{n:,}")
    unmatched = len(browsing.tally.unmatched())
    if unmatched and not message:
        parts.append(f"{unmatched:,} votes on no row")
    if browsing.table.progress:
        parts.append(browsing.table.progress)
    return " │ ".join([*parts, message] if message else parts)


def short_name(source: str, most_chars: int) -> str:
    """Return the end of a path, at most three parts, cut to `most_chars` but to no fewer than 12."""
    name = visible("/".join(Path(source).parts[-3:]))
    most_chars = max(FEWEST_NAME_CHARS, most_chars)
    return name if len(name) <= most_chars else f"…{name[1 - most_chars :]}"
