"""Reads a corpus and cuts it into passages: a folder of texts, or a file with one text in each record.

Records: JSONL, JSON, CSV, TSV (each also .gz) or Parquet with `text`, `passage`, `evidence`, `content` or `body`, and
optionally `title`, `id`, `url`. A text of more than 180 words is cut at sentence borders into passages of about 120
words, each beginning with the last sentences of the one before, up to 30 words.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from console.errors import InputError, RowError
from console.progress import say
from judges.tools.claims.sentences import sentences
from records.decoding.lines import text_of_file
from records.fields.messages import check_text, readable
from records.files import BadRows, Record, read_records
from records.keys import content_key, files_digest

CUT_VERSION = 1
"""Raised when the same files would be cut differently."""
WHOLE_WORDS = 180
PASSAGE_WORDS = 120
OVERLAP_WORDS = 30
TEXT_FIELDS = ("text", "passage", "evidence", "content", "body")
TEXT_SUFFIXES = (".txt", ".md", ".markdown")
HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*\s*$", re.MULTILINE)


class Passage(msgspec.Struct, frozen=True, omit_defaults=True):
    """A piece of text that a claim is checked against."""

    id: str
    text: str
    title: str | None = None
    url: str | None = None
    score: float | None = None
    """Its fit to the query, if a search found it."""


def corpus_digest(source: Path) -> str:
    """Return 16 hex digits that identify the corpus's content. Raises InputError if there is none."""
    files = _files(source)
    names = [str(file.relative_to(source)) for file in files] if source.is_dir() else []
    try:
        return content_key("corpus", CUT_VERSION, names, source.suffix, files_digest(files))
    except OSError as error:
        raise InputError(f"{source}: cannot be read: {error.strerror or error}") from None


def read_passages(source: Path) -> Iterator[Passage]:
    """Yield the passages of the corpus at `source`, each text once, with ids derived from the content.

    Raises InputError if it has no text.
    """
    ids: set[str] = set()
    texts: set[str] = set()  # keys of the texts so far, not the texts
    n_repeated = 0
    for document in _documents(source):
        key = content_key(document.title, document.text)
        if key in texts:
            n_repeated += 1
            continue
        texts.add(key)
        name = document.id if document.id and document.id not in ids else "-".join(filter(None, (document.id, key)))
        ids.add(name)
        yield from _passages(msgspec.structs.replace(document, id=name))
    if not texts:
        raise InputError(f"{source}: there is no text in it")
    if n_repeated:
        say(f"{source}: {n_repeated} of {n_repeated + len(texts)} texts repeat another one and count once")


def cut(text: str) -> list[str]:
    """Return `text` as passages of about 120 words that overlap at sentence borders."""
    if len(text.split()) <= WHOLE_WORDS:
        return [" ".join(text.split())]
    passages: list[str] = []
    held: list[str] = []
    n_new = 0  # sentences that no passage has yet
    for sentence in (piece for whole in sentences(text) for piece in _pieces(whole)):
        if n_new and _n_words(held) + len(sentence.split()) > PASSAGE_WORDS:
            passages.append(" ".join(held))
            held, n_new = _tail(held), 0
        held.append(sentence)
        n_new += 1
    return [*passages, " ".join(held)] if n_new else passages


def _pieces(sentence: str) -> Iterator[str]:
    """Yield a sentence whole, or in pieces if it is longer than a passage, like a table without full stops."""
    words = sentence.split()
    for start in range(0, len(words), PASSAGE_WORDS):
        yield " ".join(words[start : start + PASSAGE_WORDS])


def _tail(held: list[str]) -> list[str]:
    """Return the last whole sentences with at most OVERLAP_WORDS words together."""
    start = len(held)
    # not to 0: a passage must not begin with all of the one before
    while start > 1 and _n_words(held[start - 1 :]) <= OVERLAP_WORDS:
        start -= 1
    return held[start:]


def _n_words(texts: list[str]) -> int:
    return sum(len(text.split()) for text in texts)


def _passages(document: Passage) -> Iterator[Passage]:
    pieces = cut(document.text)
    for number, text in enumerate(pieces, start=1):
        name = document.id if len(pieces) == 1 else f"{document.id}#{number}"
        yield Passage(name, text, document.title, document.url)


def _files(source: Path) -> list[Path]:
    if not source.exists():
        raise InputError(f"{source}: no such corpus; give a folder of .txt and .md files, or a file of texts")
    if not source.is_dir():
        return [source]
    files = [path for path in source.rglob("*") if path.suffix.lower() in TEXT_SUFFIXES and path.is_file()]
    if not files:
        raise InputError(f"{source}: there is no .txt or .md file in this folder; for records, name the file itself")
    return sorted(files)  # rglob's order is the file system's


def _documents(source: Path) -> Iterator[Passage]:
    """Yield whole documents. An id may be empty or repeated."""
    files = _files(source)
    if source.is_dir() or source.suffix.lower() in TEXT_SUFFIXES:
        for file in files:
            yield from _text_file(file, file.relative_to(source) if source.is_dir() else Path(file.name))
        return
    bad = BadRows()
    for where, record in read_records(source, bad):
        try:
            yield _document_of(record)
        except InputError as error:
            bad.add(RowError(f"{where}: {error}"))


def _text_file(file: Path, name: Path) -> Iterator[Passage]:
    try:
        text = text_of_file(file).decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: cannot be read as UTF-8 text: {error}") from None
    if text.strip():
        heading = HEADING.search(text) if file.suffix.lower() != ".txt" else None
        yield Passage(name.as_posix(), text, heading[1] if heading else file.stem)


def _document_of(record: Record) -> Passage:
    for field in TEXT_FIELDS:
        text = record.get(field)
        if isinstance(text, str) and text.strip():
            title, url = (_text(record.get(name)) for name in ("title", "url"))
            return Passage(_text(record.get("id")) or "", check_text(text, field), title, url)
    raise InputError(f"no text: expected one of {', '.join(TEXT_FIELDS)}; found {', '.join(sorted(record)) or 'none'}")


def _text(value: object) -> str | None:
    return readable(str(value)) if isinstance(value, str | int) and str(value).strip() else None
