"""The tables of what was measured: speeds, and costs beside this project's."""

from collections.abc import Callable
from math import ceil
from statistics import median

from benchmarks.judge_throughput.results import Turn
from console.table import Cell


def ideal_s(gradings: int, in_flight: int, delay_s: float) -> float:
    """Return the seconds that the server alone takes."""
    return ceil(gradings / in_flight) * delay_s


def row_of(turns: list[Turn], gradings: int, ideal_s: float) -> dict[str, Cell]:
    """Return a row of the table of speeds, from the medians. One that was stopped has the calls that were answered."""
    done, last = finished(turns), turns[-1]
    row: dict[str, Cell] = {"runner": last.name, "verdicts": None, "turns": len(done)}
    if not done:
        rate = last.calls / last.wall_s if last.wall_s else None
        return row | {
            "wall s": _over(last.wall_s),
            "calls/s": rate and round(rate, 1),
            "% of ideal": rate and round(100 * rate * ideal_s / gradings, 1),
        }
    wall_s = median(_all(done, lambda turn: turn.wall_s))
    return row | {
        "verdicts": int(min(_all(done, lambda turn: turn.verdicts))),
        "wall s": round(wall_s, 2),
        "calls/s": round(gradings / wall_s, 1),
        "% of ideal": round(100 * ideal_s / wall_s, 1),
    }


def cost_of(turns: list[Turn], stored: str, ours: list[Turn]) -> dict[str, Cell]:
    """Return a row of the table of costs, from the medians, with the time as a multiple of this project's."""
    done, base, last = finished(turns), finished(ours), turns[-1]
    base_s = median(_all(base, lambda turn: turn.wall_s)) if base else None
    row: dict[str, Cell] = {"runner": last.name}
    if not done:
        times = last.wall_s / base_s if last.wall_s and base_s else None
        peak_mib = last.peak_mib and round(last.peak_mib)
        return row | {
            "processor s": _over(last.processor_s), "peak MiB": peak_mib, "stored": last.stored or None,
            "wall / ours": _over(times),
        }  # fmt: skip
    wall_s = median(_all(done, lambda turn: turn.wall_s))
    return row | {
        "processor s": round(median(_all(done, lambda turn: turn.processor_s)), 2),
        "peak MiB": round(max(_all(done, lambda turn: turn.peak_mib))),
        "stored": stored or None,
        "wall / ours": base_s and round(wall_s / base_s, 2),
    }


def finished(turns: list[Turn]) -> list[Turn]:
    """Return the turns that ended with verdicts."""
    return [turn for turn in turns if turn.verdicts is not None]


def _all(turns: list[Turn], figure: Callable[[Turn], float | None]) -> list[float]:
    return [found for turn in turns if (found := figure(turn)) is not None]


def _over(figure: float | None) -> str | None:
    return None if figure is None else f"> {figure:.0f}"
