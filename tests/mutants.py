"""Damages a row in every place, to see that a reader names what is wrong or reads it."""

from typing import Any

VALUES: list[Any] = [
    None,
    5,
    1.5,
    float("nan"),
    True,
    "",
    "x",
    "\ud800",
    [],
    ["x"],
    [None, 1],
    {},
    {"text": None},
    [{}],
    [[]],
]


def mutants(row: Any) -> list[Any]:
    """Return `row` with each field left out, and with each of `VALUES` in each field, at every depth."""
    made: list[Any] = []
    if isinstance(row, dict):
        for name, value in row.items():
            made.append({other: field for other, field in row.items() if other != name})
            made += [{**row, name: other} for other in [*VALUES, *mutants(value)]]
    elif isinstance(row, list):
        for place, value in enumerate(row):
            made += [[*row[:place], other, *row[place + 1 :]] for other in [*VALUES, *mutants(value)]]
    return made
