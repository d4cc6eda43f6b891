from pathlib import Path

import pytest

from console.errors import InputError
from records.names import checked_name, folder_name

ESCAPING = {
    "empty": "",
    "blank": "  ",
    "here": ".",
    "above": "..",
    "elsewhere": "../../escape",
    "absolute": "/tmp/escape",
    "two parts": "a/b",
    "a trailing slash": "demo/",
    "backslash": "..\\escape",
    "NUL": "demo\0",
    "line break": "demo\nforged",
    "escape": "demo\x1b[2J",
    "C1": "demo\x9b",
    "direction": "demo\u202e",
    "zero width": "de\u200bmo",
    "line separator": "demo\u2028",
    "half a surrogate": "demo\udc80",
    "hidden": ".demo",
    "flag": "--fresh",
    "space before": " demo",
    "space after": "demo ",
    "too long": "x" * 201,
    "too long in bytes": "語" * 70,
}
PLAIN = ["demo", "self_rewarding", "qwen3-8b", "run 2", "v1.2", "日本語", "x" * 200, "iter3", "a..b"]


@pytest.mark.parametrize("name", ESCAPING.values(), ids=ESCAPING)
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="plain folder name"):
        checked_name(name, "--name")


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_name_stays(name: str) -> None:
    assert checked_name(name, "--name") == name


@pytest.mark.parametrize(
    "name", [*ESCAPING.values(), "Qwen/Qwen3-8B", "./models/x", "../m", "C:\\m", "x" * 5000, "gpt-4\n", "a b", "日本"]
)
def test_any_name_of_a_model_becomes_one_short_plain_folder(name: str) -> None:
    folder = folder_name(name)
    assert checked_name(folder, "folder") == folder and folder.isascii() and len(folder) <= 100
    assert Path("runs", folder).parent == Path("runs") and ".." not in folder.split("/")


def test_a_plain_name_of_a_model_is_its_folder() -> None:
    assert folder_name("smollm2") == "smollm2" and folder_name("gpt-4o-mini") == "gpt-4o-mini"
    assert folder_name("Qwen/Qwen3-8B").startswith("Qwen_Qwen3-8B-")


def test_two_names_never_share_a_folder() -> None:
    names = ["Qwen/Qwen3-8B", "Qwen_Qwen3-8B", "Qwen Qwen3-8B", "Qwen//Qwen3-8B", "Qwen\\Qwen3-8B", ".Qwen_Qwen3-8B"]
    names += ["", ".", "..", "model", "x" * 300, "x" * 301, "模型", "模型2"]
    names += [folder_name(name) for name in names]  # whoever calls a model as such a folder gets another one
    folders = {name: folder_name(name) for name in names}
    assert len(set(folders.values())) == len(set(names))
