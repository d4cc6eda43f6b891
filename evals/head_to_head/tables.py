"""The printed tables of a head-to-head: matches, categories, models."""

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence

from console.output import say, tell
from console.table import Cell, print_table, screen_width
from console.visible import one_line
from evals.head_to_head.measures.figures import Figures, Measured
from evals.head_to_head.result import Result, title_of
from judges.intervals.bootstrap import Estimate

SMALL_P = 1e-4
SHOWN_CATEGORIES = 12
LONGEST_TITLE, LONGEST_ALONE = 30, 55
"""Characters of a match among several, and of a single one. If one has more, the models are numbered in the tables."""

Labels = Mapping[str, str]
"""The names of the models in the tables."""


def tell_tables(result: Result) -> None:
    """Print the tables, and why there are no ratings if there are none."""
    labels = labels_of(result)
    if any(label != name for name, label in labels.items()):
        tell(*(line for name, label in labels.items() for line in wrapped(f"{label} is {name}")), "")
    print_table([{"match": _title(measured, labels), **_cells(measured.figures)} for measured in result.matches])
    if categories := _category_rows(result.matches, labels):
        tell()
        print_table(categories)
    tell()
    print_table(_model_rows(result, labels))
    _say_missing_rates(result.matches, labels)
    if result.ratings and result.ratings.problem:
        say(f"no ratings: {result.ratings.problem}")


def wrapped(text: str) -> list[str]:
    """Return a text in lines that fit the screen, but for a name or a path that alone does not fit."""
    return textwrap.wrap(one_line(text), screen_width(), break_long_words=False, break_on_hyphens=False)


def labels_of(result: Result) -> Labels:
    """Return the names of the models, or a number for each if the name of a match is long."""
    names = [entrant.name for entrant in result.entrants]
    longest = LONGEST_TITLE if len(result.matches) > 1 else LONGEST_ALONE
    if max(len(title_of(measured)) for measured in result.matches) <= longest:
        return {name: name for name in names}
    return {name: f"model {number}" for number, name in enumerate(names, start=1)}


def _title(measured: Measured, labels: Labels) -> str:
    return f"{labels[measured.first]} against {labels[measured.second]}"


def _cells(figures: Figures) -> dict[str, Cell]:
    return {
        "prompts": figures.n,
        "wins": figures.wins,
        "ties": figures.ties,
        "losses": figures.losses,
        "flipped": figures.flipped,
        "no verdict": figures.unscored,
        "win rate, %": _percent(figures.win_rate),
        "sign test, p": _p_text(figures.p_value),
        "at equal length, %": _percent(figures.equal_length),
        "longer won, %": _percent(figures.longer),
    }


def _category_rows(matches: Sequence[Measured], labels: Labels) -> list[dict[str, Cell]]:
    """Return the figures of each category of the only match, or the win rates of each match by category."""
    sizes = Counter({name: figures.n for name, figures in matches[0].by_category.items()})
    largest = [name for name, _ in sizes.most_common(SHOWN_CATEGORIES)]
    if len(sizes) > len(largest):
        say(f"only the {len(largest)} largest of {len(sizes)} categories are shown; the file has all")
    if not largest:
        return []
    if len(matches) == 1:
        return [{"category": name, **_cells(matches[0].by_category[name])} for name in largest]
    rows: list[dict[str, Cell]] = []
    for measured in matches:
        rates = {f"{name}, %": _percent(measured.by_category[name].win_rate) for name in largest}
        rows.append({"match": _title(measured, labels), **rates})
    return rows


def _model_rows(result: Result, labels: Labels) -> list[dict[str, Cell]]:
    points = {rating.name: rating for rating in result.ratings.ratings} if result.ratings else {}
    entrants = sorted(result.entrants, key=lambda entrant: -_value(points.get(entrant.name)))  # stable without ratings
    rows: list[dict[str, Cell]] = []
    for entrant in entrants:
        row: dict[str, Cell] = {"model": labels[entrant.name]}
        if points:
            row["rating, Elo"] = _points(points[entrant.name])
        row |= {"answers": entrant.answers, "mean chars": entrant.mean_chars and round(entrant.mean_chars)}
        rows.append(row | {"empty": entrant.empty, "cut off": entrant.cut_off})
    return rows


def _say_missing_rates(matches: Sequence[Measured], labels: Labels) -> None:
    """Say why matches have no rate at equal length, each reason once."""
    titles: dict[str, list[str]] = {}
    for measured in matches:
        rate = measured.figures.equal_length
        if rate.value is None:
            titles.setdefault(rate.note, []).append(_title(measured, labels))
    for reason, names in titles.items():
        say(f"no rate at equal length of {', '.join(names)}: {reason}")


def _value(rating: Estimate | None) -> float:
    return 0.0 if rating is None or rating.value is None else rating.value


def _percent(share: Estimate) -> str | None:
    if share.value is None:
        return None
    between = "" if share.low is None or share.high is None else f" [{100 * share.low:.1f}, {100 * share.high:.1f}]"
    return f"{100 * share.value:.1f}{between}"


def _points(rating: Estimate) -> str | None:
    if rating.value is None:
        return None
    low, high = rating.low, rating.high
    between = "" if low is None or high is None else f" [{round(low):+d}, {round(high):+d}]"
    return f"{round(rating.value):+d}{between}"  # whole numbers have no -0


def _p_text(p: float | None) -> str | None:
    if p is None:
        return None
    return f"{p:.4f}" if p >= SMALL_P else f"{p:.0e}"
