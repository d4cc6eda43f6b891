import html
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

from console.address import Address, basic, masked, same_place, secrets_of, shown, without_secrets
from console.command import Flags, parse

KEY = "sk-verysecret"


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    server: str = "none"
    judges: tuple[str, ...] = ()
    n: int = 1


@pytest.mark.parametrize(
    ("url", "text"),
    [
        (f"http://ann:{KEY}@host:8000/v1", "http://***@host:8000/v1"),
        (f"https://{KEY}@host/v1", "https://***@host/v1"),
        (f"http://host/v1?key={KEY}", "http://host/v1?key=***"),
        (f"http://host/v1?api-version=2024-06-01&key={KEY}&x", "http://host/v1?api-version=2024-06-01&key=***&***"),
        (f"http://host/v1?{KEY}", "http://host/v1?***"),
        (f"http://ann:{KEY}@[::1]:8000/v1?key={KEY}#{KEY}", "http://***@[::1]:8000/v1?key=***"),
        (f"http://ann:sk/{KEY}@host/v1", "http://***@host/v1"),
        (f"http://ann:sk?{KEY}@host/v1", "http://***@host/v1"),
        (f"ann:{KEY}@host/v1", "***@host/v1"),
        ("http://host:8000/accounts/@cf/v1", "http://host:8000/accounts/@cf/v1"),
        ("localhost:8000", "localhost:8000"),
        ("", ""),
    ],
)
def test_an_address_is_shown_without_what_is_secret_in_it(url: str, text: str) -> None:
    assert shown(url) == text
    assert KEY not in masked(f"cannot connect to {url}", secrets_of(url))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://host/v1", "http://host/v1/chat/completions"),
        ("http://host/v1/", "http://host/v1/chat/completions"),
        ("http://host/v1?key=a/b", "http://host/v1/chat/completions?key=a/b"),
        ("http://host/v1/?key=a&v=2", "http://host/v1/chat/completions?key=a&v=2"),
        ("http://ann:pw@host/v1?key=a#part", "http://host/v1/chat/completions?key=a"),
        ("http://host?key=a", "http://host/chat/completions?key=a"),
    ],
)
def test_a_path_goes_before_the_query_and_the_user_stays_out(url: str, expected: str) -> None:
    assert Address.of(url).url("/chat/completions") == expected


def test_secrets_are_hidden_as_they_stand_and_decoded_and_short_words_are_not() -> None:
    secrets = secrets_of("http://ann:p%40ssword@host/v1?sig=a%2Fbcdef&v=12345")
    said = masked("p@ssword, p%40ssword, a/bcdef, a%2Fbcdef, ann, 12345", secrets)
    assert said == "***, ***, ***, ***, ann, 12345"
    assert basic("ann:p%40ssword") in secrets and basic("ann:p%40ssword") == "YW5uOnBAc3N3b3Jk"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("http://a:1/x", "http://u:p@A:1/y", True),
        ("http://a:1/x", "http://a:2/x", False),
        ("https://a/x", "http://a/x", False),
        ("http://a/x", "http://b/x", False),
    ],
)
def test_a_key_goes_along_to_the_same_server_only(one: str, other: str, same: bool) -> None:
    assert same_place(one, other) == same


@pytest.mark.parametrize("url", [f"http://ann:{KEY}@host/v1", f"http://host/v1?key={KEY}"])
def test_a_wrong_flag_is_named_without_the_keys_beside_it(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = parse(Config, ("--server", url, f"--judges=m@{url}"), "prog")
    assert (found.server, found.judges) == (url, (f"m@{url}",))
    (tmp_path / "config.toml").write_text(f'server = "{url}"\n')
    from_file = ("--config", str(tmp_path / "config.toml"))
    assert parse(Config, from_file, "prog").server == url
    wrong = [("--sever", url), (f"--sever={url}",), ("--server", url, "--n", "x")]
    for words in (*wrong, (*from_file, "--sever"), ("--help", *from_file)):
        with pytest.raises(SystemExit):
            parse(Config, words, "prog")
    said = "".join(capsys.readouterr())
    assert "host" in said and KEY[:8] not in said


def test_what_is_no_address_is_left_as_it_is() -> None:
    text = ["see http://host/v1?key=a for more", "a@b.org", "x?key=y", 7, None, (1, "http://host/v1")]
    assert without_secrets(text) == text


@pytest.mark.parametrize("form", [str, repr, json.dumps, html.escape, quote], ids=lambda form: form.__name__)
def test_a_secret_is_hidden_however_a_message_quotes_it(form: Callable[[str], str]) -> None:
    secret = "ab\"cd\\secret/<&' part"
    said = masked(f"the key is {form(secret)}", {secret})
    assert "secret" not in said and "part" not in said and "***" in said
