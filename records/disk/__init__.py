"""Files underneath the store: an index of rows that needs little memory, locks, and the repair of a torn end."""

from records.disk.index import DiskDict, DiskSet, RowIndex
from records.disk.rows import DiskRanks, DiskRows, GroupedRows

__all__ = ["DiskDict", "DiskRanks", "DiskRows", "DiskSet", "GroupedRows", "RowIndex"]
