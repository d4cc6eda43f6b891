"""Runs a judge's calls as a batch of OpenAI's API: uploads them, waits, and fetches the output.

What was submitted stands in a folder beside the rows, so that a stopped command finds it again. A batch is never
submitted twice: its key is on disk before it is asked for, and the server is asked for a batch with that key first.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from shutil import rmtree
from urllib.parse import parse_qsl
from uuid import uuid4

from openai import (
    APIConnectionError,
    APIStatusError,
    AzureOpenAI,
    InternalServerError,
    NotFoundError,
    OpenAI,
    OpenAIError,
    RateLimitError,
)
from openai.types import Batch

from console.address import Address, shown
from console.errors import EngineError, InputError
from console.progress import progress, say
from console.reading import read_file
from console.writing import DiskErrors, make_folder
from engines.served.account import Account
from engines.served.openai_calls import ServedCalls
from engines.served.replies.failures import error_text
from judges.batches.output import begins_and_ends_as_output
from records.leftovers import temporary_path
from records.store import set_aside

KEY = "judgeloop"
"""The field of a batch's metadata that has its key."""
POLL_S = 15.0
SHOWN_BYTES = 80
TRIES = 40
"""So many polls in a row may fail, ten minutes of them."""
CLOCKS_S = 86_400
"""By so much the server's clock may differ. Batches that are older than the key are not looked through."""
DOWNLOADS = 3
"""So often a file that is no output of a batch is downloaded in one start."""
PASSING = (APIConnectionError, InternalServerError, RateLimitError)
ENDED = {"completed", "failed", "expired", "cancelled"}


@dataclass
class _Part:
    """One batch."""

    file: str
    key: str = field(default_factory=lambda: uuid4().hex)
    uploaded: str | None = None
    batch: str | None = None
    status: str = ""
    error: str = ""
    outputs: list[str] = field(default_factory=list)
    """The files of its answers and errors. They are there once the status is one of ENDED."""


@dataclass
class _State:
    """What the folder holds."""

    judge: str
    parts: list[_Part]
    started_s: float
    """Seconds since 1970."""
    imported: bool = False


def run_batch(
    calls: object,
    judge: str,
    folder: Path,
    export: Callable[[Path], int],
    take: Callable[[Sequence[Path], bool], None],
    *,
    fresh: bool = False,
) -> None:
    """Finish the batch in `folder` if there is one, then export, submit and import what is left.

    `export` writes the calls that are left to files beside a path and returns their number. `take` stores the rows in
    output files. Its second argument says whether rows without any line are left for later, not failed. `judge` is the
    fingerprint. Raises EngineError if the server has no batches, or refuses one.
    """
    if not isinstance(calls, ServedCalls):
        raise InputError("a batch is for a server's model: give --engine openai")
    if fresh:
        set_aside(folder)
    hosted = _Hosted(calls, folder)
    state = hosted.state(judge)
    if state is not None and not state.imported:
        say(f"{folder}: a batch is under way since an earlier start")
        hosted.finish(state, lambda paths: take(paths, True))
    set_aside(folder)
    make_folder(folder)
    if export(folder / "calls.jsonl") == 0:
        rmtree(folder)
        return
    names = sorted(path.name for path in folder.glob("calls*.jsonl"))
    state = _State(judge, [_Part(name) for name in names], time.time())
    hosted.save(state)
    hosted.finish(state, lambda paths: take(paths, any(part.error for part in state.parts)))


def client_of(account: Account) -> OpenAI:
    """Return the SDK's client with its own connections, which take large files."""
    query = dict(parse_qsl(Address.of(account.server).query, keep_blank_values=True))
    return (OpenAI if account.deployment is None else AzureOpenAI)(**account.settings, default_query=query)


def n_lines(path: Path) -> int:
    """Return the number of lines in a file."""
    with path.open("rb") as file:
        return sum(1 for _ in file)


@dataclass(frozen=True)
class _Hosted:
    """A folder and the server of its batches."""

    calls: ServedCalls
    folder: Path

    def state(self, judge: str) -> _State | None:
        """Return what the folder holds, or None if nothing was submitted from it."""
        path = self.folder / "state.json"
        if not path.exists():
            if self.folder.exists():
                rmtree(self.folder)  # an export that was stopped
            return None
        found = json.loads(read_file(path))
        state = _State(**{**found, "parts": [_Part(**part) for part in found["parts"]]})
        if state.judge != judge and not state.imported:
            what = f"{self.folder}: has a batch of another judge ({state.judge}; this one is {judge})"
            raise InputError(f"{what}: finish it with that judge's flags, or give another --out")
        return state

    def save(self, state: _State) -> None:
        path = self.folder / "state.json"
        temporary = temporary_path(path)
        with DiskErrors(path):
            temporary.write_text(json.dumps(asdict(state), indent=1), encoding="utf-8")
            temporary.replace(path)

    def finish(self, state: _State, take: Callable[[Sequence[Path]], None]) -> None:
        """Submit what is not submitted yet, wait for all, and take the output."""
        with self._errors(), client_of(self.calls.account) as client:
            for part in state.parts:
                if part.batch is None:
                    self._submit(client, part, state)
                elif not all(self._is_there(name) for name in part.outputs):
                    part.status, part.outputs = "", []  # is downloaded again
            self._wait(client, state)
        outputs = [self.folder / name for part in state.parts for name in part.outputs]
        if outputs:
            take(outputs)
        state.imported = True
        self.save(state)
        if errors := [f"{part.batch}: {part.error}" for part in state.parts if part.error]:
            raise EngineError(self.calls.hide(f"the server refuses the batch {errors[0]}; nothing was paid for it"))

    def _submit(self, client: OpenAI, part: _Part, state: _State) -> None:
        if part.uploaded is None:
            with (self.folder / part.file).open("rb") as file:
                part.uploaded = client.files.create(file=(f"{part.key}.jsonl", file), purpose="batch").id
            self.save(state)
        part.batch = self._batch_of(client, part, state.started_s).id
        self.save(state)
        say(f"batch {part.batch} is submitted. It goes on if this command is stopped, and the same command finds it")

    def _batch_of(self, client: OpenAI, part: _Part, started_s: float) -> Batch:
        """Return the batch with the part's key, made now if there is none. An unclear failure is looked into."""
        assert part.uploaded is not None
        for number in range(TRIES):
            for known in client.batches.list(limit=100):
                if (known.metadata or {}).get(KEY) == part.key:
                    return known
                if known.created_at < started_s - CLOCKS_S:
                    break
            try:
                # Without retries of its own: a request whose reply was lost may have been accepted.
                return client.with_options(max_retries=0).batches.create(
                    input_file_id=part.uploaded,
                    endpoint="/v1/chat/completions",
                    completion_window="24h",
                    metadata={KEY: part.key},
                )
            except PASSING:
                if number == TRIES - 1:
                    raise
                time.sleep(POLL_S)
        raise AssertionError("the last try returns or raises")

    def _wait(self, client: OpenAI, state: _State) -> None:
        """Return once all parts have ended and their outputs are on disk."""
        total = sum(n_lines(self.folder / part.file) for part in state.parts)
        n_failed = 0
        with progress("batch", total) as meter:
            while True:
                try:
                    n_done = sum(self._look_at(client, part, state) for part in state.parts)
                    n_failed = 0
                except PASSING:
                    n_failed += 1
                    if n_failed == TRIES:
                        raise
                else:
                    meter(max(0, n_done - meter.done))
                if all(part.status in ENDED for part in state.parts):
                    return
                time.sleep(POLL_S)

    def _look_at(self, client: OpenAI, part: _Part, state: _State) -> int:
        """Fetch the outputs of a part that has ended, and return the number of its calls that are done."""
        assert part.batch is not None
        batch = client.batches.retrieve(part.batch)
        counts = batch.request_counts
        if batch.status in ENDED and part.status not in ENDED:
            n_answered, n_failed = (counts.completed, counts.failed) if counts else (0, 0)
            files = (("output", batch.output_file_id, n_answered), ("errors", batch.error_file_id, n_failed))
            part.outputs = [
                self._fetch(client, file_id, f"{name}-{part.file}", may_be_empty=not n)
                for name, file_id, n in files
                if file_id is not None
            ]
            if batch.status == "failed":
                part.error = "; ".join(
                    error_text(error.message) for error in (batch.errors and batch.errors.data) or ()
                )
                part.error = part.error or "it failed without a reason"
            elif batch.status != "completed":
                say(
                    f"batch {part.batch} is {batch.status}: what was answered is kept, the next start asks for the rest"
                )
            part.status = batch.status
            self.save(state)
        return counts.completed + counts.failed if counts else 0

    def _fetch(self, client: OpenAI, file_id: str, name: str, *, may_be_empty: bool) -> str:
        """Download a file. A proxy's page in its place, or a part of it, would be paid answers lost."""
        path, server = self.folder / name, shown(self.calls.account.server)
        temporary, begins = temporary_path(path), False
        for number in range(DOWNLOADS):
            if number:
                time.sleep(POLL_S)
            try:
                with DiskErrors(path), client.files.with_streaming_response.content(file_id) as reply:
                    reply.stream_to_file(temporary)
            except NotFoundError as error:
                what = (
                    f"{server}: has no file {file_id}, the batch's {name} ({self.calls.hide(error_text(error.body))})"
                )
                advice = f"move {self.folder} away, and the same command sends what is left as a new batch"
                raise EngineError(f"{what}: {advice}") from None
            begins, ends = begins_and_ends_as_output(temporary)
            if ends or (may_be_empty and not temporary.stat().st_size):
                break
        else:
            said = self.calls.hide(repr(temporary.read_bytes()[:SHOWN_BYTES].decode(errors="replace")))
            if not begins:
                temporary.unlink()
                what = f"{server}: gives {said} in place of the batch's {name}"
                raise EngineError(f"{what}; the same command downloads it again, and nothing is paid twice")
            say(f"{path}: its last line is not the output of a batch, in {DOWNLOADS} downloads; the others are read")
        with DiskErrors(path):
            temporary.replace(path)
        return name

    def _is_there(self, name: str) -> bool:
        """Return whether a file was downloaded, and is no page in its place."""
        path = self.folder / name
        return path.is_file() and (not path.stat().st_size or begins_and_ends_as_output(path)[0])

    @contextmanager
    def _errors(self) -> Iterator[None]:
        server = shown(self.calls.account.server)
        try:
            yield
        except NotFoundError as error:
            what = f"{server}: has no batches ({self.calls.hide(error_text(error.body))})"
            raise EngineError(f"{what}; write the calls with --export-batch, and read what comes of them") from None
        except APIStatusError as error:
            reason = self.calls.hide(f"{error.status_code}: {error_text(error.body)}")
            raise EngineError(f"{server}: {reason}; the same command goes on with its batch") from None
        except OpenAIError as error:
            reason = self.calls.hide(f"{error}: {error.__cause__}" if error.__cause__ else str(error))
            raise EngineError(f"{server}: {reason}; the same command goes on with its batch") from None
