"""Reads Parquet, so many rows at a time as fit in memory: a small file may unpack to any size."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console import reading
from console.errors import InputError
from console.reading import size

if TYPE_CHECKING:
    from pyarrow import RecordBatch
    from pyarrow.parquet import FileMetaData

ROWS_AT_ONCE = 1024


def read_parquet(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the rows of a Parquet file.

    Raises InputError if it is none or damaged, and for a row of more than `reading.MOST_BYTES_A_LINE`.
    """
    import pyarrow.parquet

    number = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                n_rows = _rows_at_once(path, file.metadata, group, number)
                for batch in file.iter_batches(batch_size=n_rows, row_groups=[group]):
                    for record in _records(path, batch, number):
                        number += 1
                        yield f"{path}: row {number}", record
    except InputError:
        raise
    except (pyarrow.ArrowMemoryError, MemoryError):
        raise InputError(f"{path}: not enough memory for the rows after row {number}; split the file") from None
    # A damaged file makes Arrow raise many types, built-in ones among them.
    except (pyarrow.ArrowException, OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        reason = " ".join(str(error).split())[:200]
        place = f" after row {number}" if number else ""
        raise InputError(f"{path}: not a Parquet file, or damaged{place}: {reason}") from None


def _rows_at_once(path: Path, about: "FileMetaData", group: int, before: int) -> int:
    """Return the number of rows that are unpacked together. Raises InputError if their mean size is over the limit.

    A value that a column repeats is stored once, in its dictionary, so each row may be as large as the dictionary.
    """
    rows = about.row_group(group)
    if not rows.num_rows:
        return ROWS_AT_ONCE
    n_bytes: int = rows.total_byte_size // rows.num_rows
    if n_bytes > reading.MOST_BYTES_A_LINE:
        raise _too_large(path, before + 1)
    for place in range(rows.num_columns):
        column = rows.column(place)
        if column.dictionary_page_offset and column.data_page_offset > column.dictionary_page_offset:
            packed = column.data_page_offset - column.dictionary_page_offset
            # A file states the size of a packed dictionary only. It is taken to unpack like the column as a whole.
            n_bytes += packed * column.total_uncompressed_size // max(column.total_compressed_size, 1)
    return max(1, min(ROWS_AT_ONCE, reading.MOST_BYTES_A_LINE // max(int(n_bytes), 1)))


def _records(path: Path, batch: "RecordBatch", before: int) -> Iterator[dict[str, Any]]:
    if batch.nbytes <= reading.MOST_BYTES_A_LINE:
        yield from batch.to_pylist()
        return
    for place in range(batch.num_rows):
        row = batch.slice(place, 1)  # a view: nothing is copied
        if row.nbytes > reading.MOST_BYTES_A_LINE:
            raise _too_large(path, before + place + 1)
        yield from row.to_pylist()


def _too_large(path: Path, row: int) -> InputError:
    return InputError(
        f"{path}: row {row}: has more than {size(reading.MOST_BYTES_A_LINE)}; is it the file that you mean?"
    )
