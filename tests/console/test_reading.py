"""Config files, paths, addresses and keys that are no such thing: one line that says what is wrong, and exit code 2."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from console.address import checked_header, checked_server
from console.command import Flags, parse
from console.config import load_config
from console.errors import InputError
from console.reading import read_text
from console.writing import OutFile


@dataclass(frozen=True)
class Part:
    table: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    file: Path | None = None
    name: str = ""
    more: tuple[Path, ...] = ()
    part: Part = field(default_factory=Part)
    out: OutFile | None = None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"seed = 1\0", "not valid TOML"),
        (b"seed = " + b"9" * 5000, "not valid TOML: it has a number of thousands of digits"),
        (b"seed = " + b"[" * 5000, "not valid TOML: nested too deeply"),
        (b"seed = 1\nseed = 2", "not valid TOML: Cannot overwrite a value"),
        (b"seed = 2020-02-30", "not valid TOML: Invalid date"),
        (b"seed = 1e400", "'seed' = inf: Expected `int`"),
        (b"seed = nan", "'seed' = nan: Expected `int`"),
        ('name = "é"'.encode("latin-1"), "not UTF-8: byte 0xE9 at 8; save the file as UTF-8"),
        (b"\x1f\x8b\x08junk", "not UTF-8: byte 0x8B at 1"),
        (b"seed = [" + b"1, " * 5000 + b"]", "'seed' = [1, 1, "),
        (b"out = 1", "'out' must be a path, written as text"),
        (b'more = ["a", 1]', "must be a path, written as text"),
        (None, "is a folder; name a file in it"),
    ],
)  # fmt: skip
def test_a_config_file_that_is_none_is_one_line(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "run.toml"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(InputError) as found:
        load_config(path, Config())
    said = str(found.value)
    assert said.startswith(f"{path}: ") and message in said
    assert "\n" not in said and len(said) < len(str(path)) + 250


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b"\xef\xbb\xbfseed = 0\r\n", b"# nothing\r"])
def test_a_config_file_may_be_empty_or_have_a_byte_order_mark(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "run.toml"
    path.write_bytes(content)
    assert load_config(path, Config()) == Config()


def test_every_kind_of_path_can_stand_in_a_config_file(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text('file = "a"\nmore = ["b", "c"]\nout = "d"\n[part]\ntable = "e"\n')
    expected = Config(file=Path("a"), more=(Path("b"), Path("c")), out=Path("d"), part=Part(Path("e")))
    assert load_config(path, Config()) == expected


def test_a_config_file_that_may_not_be_read_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.toml"
    path.write_text("seed = 1")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputError, match=r"run\.toml: cannot be read: Permission denied$"):
        load_config(path, Config())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--file", "x" * 300], "cannot be read: File name too long; check the path"),
        (["--more", "a", "x" * 300], "cannot be read: File name too long"),
        (["--part.table", "x" * 300], "cannot be read: File name too long"),
        (["--file", "a\0b"], "no file can have this name"),
        (["--file", ""], "the path of a file is empty; is a variable in your command line not set?"),
        (["--file="], "the path of a file is empty"),
        (["--name", "a\0b"], "--name 'a.*b': holds a character that is not text"),
        (["--name", "a\udcff"], "--name 'a.*': holds a character that is not text"),
        (["--config", ""], "is a folder; name a file in it"),
        (["--config", "a\0b"], "no such config file"),
        (["--config", "x" * 300], "no such config file"),
    ],
)
def test_a_path_that_no_file_can_have_is_an_error_of_the_input(words: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse(Config, words, "x")


def test_a_path_that_is_not_there_is_left_to_who_reads_it(tmp_path: Path) -> None:
    there = tmp_path / "x"
    there.touch()
    for path in (tmp_path / "none", there / "below a file", tmp_path):
        assert parse(Config, ["--file", str(path)], "x").file == path


def test_a_text_has_no_byte_order_mark_and_plain_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes(b"\xef\xbb\xbfa\r\nb\rc\n")
    assert read_text(path) == "a\nb\nc\n"


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("localhost:8000/v1", "neither http:// nor https://"),
        ("localhost", "neither http"),
        ("ftp://x/v1", "neither http"),
        ("file:///etc/passwd", "neither http"),
        ("//x", "neither http"),
        ("http://", "names no host"),
        ("http:///v1", "names no host"),
        ("http://?key=sk-secret", "names no host"),
        ("http://h:abc/v1", "names no host"),
        ("http://[::1/v1", "names no host"),
        ("http://a..b/v1", "names no host"),
        ("http://" + "a" * 64 + "/v1", "names no host"),
        ("http://" + "a." * 140 + "b/v1", "too long"),
        ("http://h:99999/v1", "port is not from 1 to 65535"),
        ("http://h:0/v1", "port is not from 1"),
        ("http://ho st/v1", "a space or a control character"),
        ("http://h/v1\r\nX-Other: 1", "a space or a control character"),
        ("http://h\0/v1", "a space or a control character"),
        ("http://\ud800/v1", "a space or a control character"),
    ],
)
def test_an_address_that_no_call_can_be_sent_to_is_named(url: str, problem: str) -> None:
    with pytest.raises(InputError, match="is no address of a server: .*; write it like http://localhost") as found:
        checked_server(url)
    assert problem in str(found.value) and "sk-secret" not in str(found.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:8000/v1", "https://api.openai.com/v1/", "http://127.0.0.1:1", "http://[::1]:8000/v1",
        "HTTP://x.y./v1?api-version=1", "http://user:p/w?@h:1/v1", "http://é.example/v1", "http://my_host/v1",
        "http://[fe80::1%25eth0]/v1", "https://h/v1?key=a%20b",
    ],
)  # fmt: skip
def test_an_address_of_a_server_stays_as_it_is(url: str) -> None:
    assert checked_server(url) == url


@pytest.mark.parametrize(
    "key", ["sk-a\nX-Other: b", "sk-a\r\nb", "sk-é", "sk-a\0", "sk-a\x7f", "sk a", "\ud800", "sk-…"]
)
def test_a_key_that_no_header_can_hold_is_an_error_that_does_not_show_it(key: str) -> None:
    with pytest.raises(
        InputError, match=r"^MY_KEY: its character \d+ is .*, and cannot be sent; set it again$"
    ) as found:
        checked_header(key, "MY_KEY")
    assert key not in str(found.value)


@pytest.mark.parametrize(("value", "sent"), [("sk-1", "sk-1"), ("  sk-1\n", "sk-1"), ("", ""), ("\n", "")])
def test_spaces_around_a_key_are_not_part_of_it(value: str, sent: str) -> None:
    assert checked_header(value, "MY_KEY") == sent
