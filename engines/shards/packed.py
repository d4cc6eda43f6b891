"""Files that Arrow writes and reads: zstd, which Python 3.11 has not, and Parquet."""

import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import IO, Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec
import pyarrow
import pyarrow.parquet

RowT = TypeVar("RowT")
UNIONS = (Union, UnionType)
ROWS_A_GROUP = 4096
"""Rows of Parquet that are in memory at once."""
PLAIN = {str: "string", int: "int64", float: "float64", bool: "bool"}
"""Types that have a Parquet column of their own. A field of another type is JSON text."""
AS_JSON = b"judgeloop.json"
"""The key of a column that is JSON text, in the metadata of the Parquet file's fields."""


def open_zst(path: Path, mode: Literal["rb", "wb"]) -> IO[bytes]:
    """Return a file that is packed as it is written, or unpacked as it is read."""
    if mode == "wb":
        return io.BufferedWriter(pyarrow.CompressedOutputStream(str(path), "zstd"), 1 << 16)
    return io.BufferedReader(pyarrow.CompressedInputStream(str(path), "zstd"), 1 << 16)


def write_parquet(path: Path, rows: Iterable[Any], row_type: type) -> None:
    """Write rows one group after another. Fields of types that Parquet has no column for are JSON text."""
    schema = _schema(row_type)
    texts = [field.name for field in schema if field.metadata]
    with pyarrow.parquet.ParquetWriter(path, schema, compression="zstd") as file:
        group: list[dict[str, Any]] = []
        for row in rows:
            columns = {field.name: getattr(row, field.name) for field in schema}
            group.append(columns | {name: msgspec.json.encode(columns[name]).decode() for name in texts})
            if len(group) == ROWS_A_GROUP:
                file.write_table(pyarrow.Table.from_pylist(group, schema))
                group = []
        file.write_table(pyarrow.Table.from_pylist(group, schema))


def _schema(row_type: type) -> Any:
    def column(field: msgspec.structs.FieldInfo) -> Any:
        is_union = get_origin(field.type) in UNIONS
        options = [kind for kind in get_args(field.type) if kind is not NoneType] if is_union else [field.type]
        plain = [PLAIN.get(str if get_origin(kind) is Literal else kind) for kind in options]
        if len(plain) == 1 and plain[0] is not None:
            return pyarrow.field(field.name, pyarrow.type_for_alias(plain[0]))
        return pyarrow.field(field.name, pyarrow.string(), metadata={AS_JSON: b"1"})

    return pyarrow.schema([column(field) for field in msgspec.structs.fields(row_type)])


def read_parquet(path: Path, row_type: type[RowT]) -> Iterator[RowT]:
    """Yield the rows of a file that `write_parquet` wrote."""
    with pyarrow.parquet.ParquetFile(path) as file:
        texts = [field.name for field in file.schema_arrow if field.metadata and AS_JSON in field.metadata]
        for batch in file.iter_batches(batch_size=ROWS_A_GROUP):
            for columns in batch.to_pylist():
                values = columns | {name: msgspec.json.decode(columns[name]) for name in texts}
                yield msgspec.convert(values, row_type)
