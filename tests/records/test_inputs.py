import os
from pathlib import Path

import msgspec
import pytest

from console.errors import InputError
from records import Judgment, Store, Usage, read_rows
from records.inputs import aside_of, check_panel_out, keep_to_input, output_name, path_digest, stem_of


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("Qwen2.5-7B.jsonl", "Qwen2.5-7B"),
        ("Qwen2.5-72B.jsonl.gz", "Qwen2.5-72B"),
        ("v1.2.answers.csv", "v1.2.answers"),
        ("A.B.PARQUET", "A.B"),
        ("notes.v2", "notes.v2"),
        ("a.jsonl.json", "a.jsonl"),
        (".jsonl", ".jsonl"),
        ("réponses du modèle.tsv.gz", "réponses du modèle"),
    ],
)
def test_only_the_endings_that_say_how_a_file_is_written_are_cut(name: str, stem: str) -> None:
    assert stem_of(f"some/folder/{name}") == stem


def test_every_input_gives_a_name_of_its_own(tmp_path: Path) -> None:
    files = ["a/answers.jsonl", "b/answers.jsonl", "a/answers.csv", "a/Qwen2.5-7B.jsonl", "a/Qwen2.5-72B.jsonl"]
    files += ["a/responses.jsonl", "b/responses.jsonl", "a/answers.jsonl.gz", f"a/{'x' * 240}.jsonl"]
    for file in files:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    names = [output_name(tmp_path / file) for file in files]
    names += [output_name("owner/name"), output_name("owner/name:test"), output_name("other/name")]
    assert len(set(names)) == len(names) and not any("/" in name or len(name.encode()) > 110 for name in names)
    assert names[3].startswith("Qwen2.5-7B-") and names[4].startswith("Qwen2.5-72B-")
    assert names[5].startswith("a-responses-") and names[9].startswith("owner-name-")


def test_the_same_file_has_one_name_however_it_is_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("answers.jsonl").touch()
    Path("link.jsonl").symlink_to("answers.jsonl")
    ways = ["answers.jsonl", "./answers.jsonl", f"{tmp_path}/answers.jsonl", f"../{tmp_path.name}/answers.jsonl"]
    assert len({output_name(way) for way in ways}) == 1
    assert path_digest("link.jsonl") == path_digest("answers.jsonl")


def row(row_id: str, judge: str = "j", score: float | None = 1.0) -> Judgment:
    return Judgment(
        id=row_id, response_id=row_id, prompt_id="p", prompt="Q", response="A", model="m", score=score, scores=[score],
        replies=["Score: 1"], error=None, spread=None, rubric="additive", judge=judge, usage=Usage(n_calls=1),
    )  # fmt: skip


def written(path: Path, *rows: Judgment) -> Path:
    with Store(path, Judgment) as store:
        for one in rows:
            store.append(one)
    return path


def keep(path: Path, *wanted: str, judge: str = "j", given: bool = False) -> None:
    with Store(path, Judgment, keep=lambda one: one.score is not None) as store:
        keep_to_input(store, lambda: wanted, judge, "answers.jsonl", given=given)
        assert all(one.id == row_id for row_id in store.ids for one in store.chosen([row_id]))


def ids(path: Path) -> list[str]:
    return [one.id for one in read_rows(path, Judgment)]


def test_rows_that_the_input_has_no_more_go_into_a_file_beside_and_come_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path / "j.jsonl", row("a", score=None), row("b"), row("a"), row("c"))
    keep(path, "b", "c", "new")
    assert ids(path) == ["b", "c"] and ids(aside_of(path)) == ["a"]
    assert "1 row that answers.jsonl no longer gives" in capsys.readouterr().err
    keep(path, "a", "c")
    assert ids(path) == ["c", "a"] and ids(aside_of(path)) == ["b"]
    assert "1 row of this input again" in capsys.readouterr().err
    keep(path, "a", "c")
    assert ids(path) == ["c", "a"] and capsys.readouterr().err == ""
    keep(path, "a", "b", "c")
    assert ids(path) == ["c", "a", "b"] and not aside_of(path).exists()


def test_rows_are_on_the_disk_in_their_new_file_before_they_go_from_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "j.jsonl", row("a"), row("b"))
    on_disk: list[int] = []
    monkeypatch.setattr("os.fsync", lambda descriptor: on_disk.append(os.fstat(descriptor).st_ino))
    replace = Path.replace

    def replaced(temporary: Path, target: Path) -> Path:
        assert target != path or aside_of(path).stat().st_ino in on_disk
        return replace(temporary, target)

    monkeypatch.setattr(Path, "replace", replaced)
    keep(path, "b")
    assert ids(path) == ["b"] and ids(aside_of(path)) == ["a"]


def test_what_is_appended_after_rows_were_moved_out_is_kept(tmp_path: Path) -> None:
    path = written(tmp_path / "j.jsonl", row("a"), row("b"))
    with Store(path, Judgment) as store:
        keep_to_input(store, lambda: ["b", "c"], "j", "answers.jsonl", given=True)
        store.append(row("c"))
        assert [one.id for one in store.chosen(["b", "c"])] == ["b", "c"] and store.ids == {"b", "c"}
    assert ids(path) == ["b", "c"]


def test_a_row_that_is_to_be_done_again_stays_so_when_it_comes_back(tmp_path: Path) -> None:
    path = written(tmp_path / "j.jsonl", row("a", score=None), row("b"))
    keep(path, "b")
    with Store(path, Judgment, keep=lambda one: one.score is not None) as store:
        keep_to_input(store, lambda: ["a", "b"], "j", "answers.jsonl", given=False)
        assert store.ids == {"b"} and list(store.unfinished(["a", "b"])) == ["a"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([row("x", judge="other")], r"holds rows of another judge \(other; this one is j\)"),
        ([row("a"), row("z", judge="other")], "holds rows of another judge"),
        ([row("y"), row("z")], "holds 2 rows of another input than answers.jsonl"),
    ],
)
def test_a_file_of_another_judge_or_input_is_refused_and_not_touched(
    tmp_path: Path, rows: list[Judgment], message: str
) -> None:
    path = written(tmp_path / "j.jsonl", *rows)
    before = path.read_bytes()
    with pytest.raises(InputError, match=message):
        keep(path, "a", "b", given=True)
    assert path.read_bytes() == before and not aside_of(path).exists()


def test_rows_that_no_call_was_made_for_are_in_no_other_judges_way(tmp_path: Path) -> None:
    empty = msgspec.structs.replace(row("x", "other", None), error="the response is empty", usage=Usage())
    path = written(tmp_path / "j.jsonl", empty, row("a"))
    keep(path, "a", "b", given=True)
    assert ids(path) == ["a"] and ids(aside_of(path)) == ["x"]


def test_an_empty_or_new_file_costs_no_look_at_the_input(tmp_path: Path) -> None:
    with Store(tmp_path / "j.jsonl", Judgment) as store:
        keep_to_input(store, lambda: pytest.fail("the input was read"), "j", "answers.jsonl", given=True)


@pytest.mark.parametrize(("text", "fine"), [('{"read":"panel"}\n', True), ("", True), ('{"read":"text"}\n', False)])
def test_a_panel_replaces_nothing_but_a_panels_rows(tmp_path: Path, text: str, fine: bool) -> None:
    out = tmp_path / "p.jsonl"
    check_panel_out(out)
    out.write_text(text)
    if fine:
        check_panel_out(out)
        return
    with pytest.raises(InputError, match="something else than a panel's rows"):
        check_panel_out(out)
