"""The range of a rubric's scores, read from the file of a rubric that is packaged. Loads no Textual."""

from functools import cache
from pathlib import Path

from console.errors import InputError
from console.reading import read_toml
from tui.text import known_number

RUBRICS = Path(__file__).parents[2] / "judges" / "rubrics"
Scale = tuple[float, float]


def scale_of(rubric: str, values: list[float]) -> Scale | None:
    """Return the lowest and the highest score of a rubric, or None if nobody knows: a row has only its name.

    A person's own rubric may have the name of a packaged one. If a value lies outside, it is not the packaged one.
    """
    scale = _packaged(rubric)
    return scale if scale is not None and all(scale[0] <= value <= scale[1] for value in values) else None


@cache
def _packaged(rubric: str) -> Scale | None:
    path = RUBRICS / f"{rubric}.toml"
    if not rubric.isidentifier() or not path.is_file():
        return None
    try:
        table = read_toml(path)
    except InputError:
        return None
    low, high = known_number(table.get("low")), known_number(table.get("high"))
    return (low, high) if low is not None and high is not None and low < high else None
