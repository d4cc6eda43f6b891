"""Sets of examples in a file of Arrow that is mapped into memory: no set has to fit into memory."""

import shutil
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
from datasets import Dataset

from console.writing import make_folder
from trainer.training.outcome import examples_path
from trainer.training.processes import place

ROWS_AT_ONCE = 256


def on_disk(out: Path, examples: Iterable[dict[str, Any]]) -> Any:
    """Return the examples of the training that makes `out`, of which there is at least one, as a mapped data set.

    Each process writes its own file. What TRL makes of the set lies beside it.
    """
    folder = examples_path(out) / str(place())
    shutil.rmtree(folder, ignore_errors=True)  # of a training that was killed
    make_folder(folder)
    file = folder / "examples.arrow"
    left = iter(examples)
    rows = list(islice(left, ROWS_AT_ONCE))
    schema = _narrow(pa.Table.from_pylist(rows).schema)
    with pa.ipc.new_stream(str(file), schema) as writer:
        while rows:
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))
            rows = list(islice(left, ROWS_AT_ONCE))
    return Dataset.from_file(str(file))


def _narrow(schema: Any) -> Any:
    """Return a schema whose lists of whole numbers, which are tokens, take 4 bytes a number."""
    tokens = pa.list_(pa.int32())
    return pa.schema([field.with_type(tokens) if field.type == pa.list_(pa.int64()) else field for field in schema])
