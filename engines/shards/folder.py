"""A folder that workers share, on a disk or in an object store: whole files or nothing, and files that one creates."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec

from console.errors import InputError, StoreError
from console.writing import DiskErrors
from records.leftovers import temporary_path


class Folder:
    """A folder by its path or URL (`s3://bucket/run`, any that fsspec knows). Names in it are relative, with `/`.

    A file is written under a temporary name and renamed, so that it is there whole or not at all. Each method raises
    StoreError if the disk or the store refuses or cannot be reached.
    """

    def __init__(self, url: str | Path) -> None:
        """Raise InputError if fsspec does not know the URL, or lacks the package that it needs for it."""
        self.url = str(url)
        try:
            self._store, self._root = fsspec.core.url_to_fs(self.url)
        except (ImportError, ValueError) as error:
            raise InputError(f"{self.url}: {' '.join(str(error).split())}") from None
        local = "file" in (self._store.protocol if isinstance(self._store.protocol, tuple) else ())
        self.path: Path | None = Path(self._root) if local else None
        """The folder if it is on a disk of this machine, or one that is mounted."""

    def __str__(self) -> str:
        return self.url

    def names(self, inside: str) -> dict[str, str]:
        """Return the files of a folder in this one by their names, with the path that the other methods take."""
        try:
            paths = self._asked(self._store.ls, self._at(inside), detail=False, refresh=True)
        except FileNotFoundError:
            return {}
        names = (path.rpartition("/")[2] for path in paths)
        return {name: f"{inside}/{name}" for name in names if not name.startswith(".")}

    def has(self, name: str) -> bool:
        """Return whether the file is there."""
        return bool(self._asked(self._store.exists, self._at(name)))

    def read(self, name: str) -> bytes | None:
        """Return a small file, or None if there is none."""
        try:
            return self._asked(self._store.cat_file, self._at(name))  # type: ignore[no-any-return]
        except FileNotFoundError:
            return None

    def write(self, name: str, data: bytes) -> None:
        """Write a small file."""
        with self.writing(name) as path:
            path.write_bytes(data)

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """Yield a path on this machine whose file gets `name` in the folder if nothing fails."""
        if self.path is not None:
            target = self.path / name
            with DiskErrors(target):
                target.parent.mkdir(parents=True, exist_ok=True)
                temporary = temporary_path(target)
                try:
                    yield temporary
                    with temporary.open("rb") as file:
                        os.fsync(file.fileno())  # a power cut must not keep the name and lose the content
                    temporary.replace(target)
                finally:
                    temporary.unlink(missing_ok=True)
            return
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / PurePosixPath(name).name
            yield path
            temporary_name = f"{self._at(str(PurePosixPath(name).parent))}/{temporary_path(path).name}"
            self._told(self._store.put_file, str(path), temporary_name)
            self._told(self._store.mv, temporary_name, self._at(name))

    @contextmanager
    def reading(self, name: str) -> Iterator[Path]:
        """Yield a path on this machine with the content of a file that is there."""
        if self.path is not None:
            yield self.path / name
            return
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / PurePosixPath(name).name
            self._told(self._store.get_file, self._at(name), str(path))
            yield path

    def create(self, name: str, data: bytes) -> bool:
        """Write a small file and return True, or return False if there is one already.

        Of several who create one at the same time a single one gets True: on a disk, and in a store that can write a
        file only if there is none (S3, GCS, Azure). In another store two may get True, and a shard is then done twice.
        """
        if self.path is None:
            try:
                self._asked(self._store.pipe_file, self._at(name), data, mode="create")
            except FileExistsError:
                return False
            return True
        target = self.path / name
        with DiskErrors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = temporary_path(target)
            temporary.write_bytes(data)
            try:
                os.link(temporary, target)  # unlike open("x"): nobody sees the file without its content
            except FileExistsError:
                return False
            finally:
                temporary.unlink(missing_ok=True)
        return True

    def remove(self, name: str) -> None:
        """Remove a file or a folder, which may be gone already."""
        try:
            self._asked(self._store.rm, self._at(name), recursive=True)
        except FileNotFoundError:
            return

    def remove_all(self) -> None:
        """Remove the whole folder."""
        if self.path is not None:
            shutil.rmtree(self.path, ignore_errors=True)
        else:
            self.remove("")

    def _at(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}".rstrip("/")

    def _told(self, call: Any, *arguments: Any) -> None:
        """Call the store about a file whose absence is an error too."""
        try:
            self._asked(call, *arguments)
        except (FileExistsError, FileNotFoundError) as error:
            raise StoreError(f"{self.url}: {error}") from None

    def _asked(self, call: Any, *arguments: Any, **named: Any) -> Any:
        """Call the store. Raises StoreError with its message, unless a file is there already or is not there."""
        try:
            return call(*arguments, **named)
        except (FileExistsError, FileNotFoundError):
            raise
        except Exception as error:  # each store has types of its own
            raise StoreError(f"{self.url}: {' '.join(str(error).split())[:300] or type(error).__name__}") from None
