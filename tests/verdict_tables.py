"""Small labelled sets and tables of verdicts on them, and how one is read with the other."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from judges.audit.stored import Stored, stored_verdicts
from judges.labelled.columns import Columns
from judges.labelled.readers.formats import read_labelled
from records.files import BadRows

Rows = Sequence[dict[str, Any]]


def jsonl(path: Path, rows: Rows) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def joined(tmp_path: Path, labels: Rows, verdicts: Rows, columns: Columns | None = None) -> Stored:
    columns = columns or Columns()
    labelled = read_labelled(jsonl(tmp_path / "labels.jsonl", labels), None, columns, BadRows(strict=True))
    return stored_verdicts(jsonl(tmp_path / "verdicts.jsonl", verdicts), labelled, columns, BadRows())


def right(found: Stored) -> list[bool | None]:
    return [
        None if verdict.winner is None else verdict.winner == pair.label
        for pair, verdict in zip(found.labelled.pairs, found.verdicts, strict=True)
    ]


def pairs(n: int = 6, **more: Any) -> list[dict[str, Any]]:
    """Labelled pairs whose better answer alternates; every one has a key under each name in `more`."""
    return [
        {
            "prompt": f"question {i}",
            "response_a": f"answer {i} GOOD" if i % 2 else f"answer {i}",
            "response_b": f"answer {i}" if i % 2 else f"answer {i} GOOD",
            "label": "a" if i % 2 else "b",
            **{name: value(i) for name, value in more.items()},
        }
        for i in range(n)
    ]


def verdicts(rows: Rows, *names: str, wrong: Sequence[int] = (), **renamed: str) -> list[dict[str, Any]]:
    """Verdicts on `rows`, right but for those at `wrong`, with the fields `names` of the rows."""
    return [
        {
            **{renamed.get(name, name): row[name] for name in names},
            "verdict": row["label"] if i not in wrong else {"a": "b", "b": "a"}[row["label"]],
        }
        for i, row in enumerate(rows)
    ]


def exchanged(row: dict[str, Any]) -> dict[str, Any]:
    """Return a verdict about the same two answers the other way round."""
    turned = dict(row)
    for a, b in (("response_a", "response_b"), ("model_a", "model_b")):
        if a in row:
            turned[a], turned[b] = row[b], row[a]
    return {**turned, "verdict": {"a": "b", "b": "a", "tie": "tie"}[row["verdict"]]}
