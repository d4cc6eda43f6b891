"""The table over files: which rows there are, what is kept on disk, and what happens if a file changes."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from console.errors import InputError
from records.disk.locked import locked
from records.store import write_rows
from tests.tui.rows import COMPARISONS, PAIRS, ROOT_OF, a_run, judgment, pair, saved, view_of
from tui.browsing.state import Browsing
from tui.reading import saved as saving
from tui.reading.file_index import FileIndex
from tui.reading.packed import Words
from tui.reading.saved import index_paths, load, save
from tui.reading.sources import find_source
from tui.reading.table import Table
from tui.voting.log import open_votes


def table(*paths: Path) -> Table:
    return Table(find_source(list(paths))).read_all()


def prompts(of: Table) -> list[str]:
    return [of.head(row) for row in range(len(of))]


def test_the_core_loads_no_textual() -> None:
    modules = "tui.reading.table, tui.filters.search, tui.filters.completion, tui.summary.export, tui.voting.queue"
    code = f"import sys, {modules}, tui.summary.rows, tui.summary.statistics, tui.__main__; print(*sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT_OF)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert "tui.reading.table" in done.stdout.split()
    assert not {"textual", "torch"} & set(done.stdout.split())


def test_a_run_shows_the_rows_of_all_its_iterations_and_each_knows_its_own(tmp_path: Path) -> None:
    run = table(a_run(tmp_path))
    assert run.kinds() == {"judgment": 24, "pair": 6}
    assert sorted(set(run.rows["iter"].tolist())) == [1, 2]
    body = run.body(len(run) - 1)
    assert (body.item.text_a, body.line) == ("name a bird: answer x of iter2", 3)


def test_rows_of_ours_and_of_others_get_the_same_shape(tmp_path: Path) -> None:
    ours = table(saved(tmp_path / "c.jsonl", COMPARISONS))
    assert ours.rows["winner"].tolist() == [1, 2, 3, 0]
    assert ours.rows["flipped"].tolist() == [1, 1, 2, 0]
    records = [{"instruction": f"q{n}", "output_1": "yes", "output_2": "maybe", "label": n % 3} for n in range(3)]
    others = saved(tmp_path / "o.jsonl", records)
    assert table(others).rows["winner"].tolist() == [3, 1, 2]


def test_the_harnesses_judgments_are_read(tmp_path: Path) -> None:
    prompt = "[Question]\nWhy?\n\n[The Start of Assistant's Answer]\nSo.\n[The End of Assistant's Answer]"
    single = {"question_id": 81, "model": "m", "judge": ["gpt-4", "single"], "user_prompt": prompt, "judgment": "[[7]]"}
    shown = (
        "<|User Prompt|>\nWhy?\n\n<|The Start of Assistant A's Answer|>\nOne\n<|The End of Assistant A's Answer|>\n\n"
        "<|The Start of Assistant B's Answer|>\nTwo\n<|The End of Assistant B's Answer|>"
    )
    arena = {"uid": "u", "model": "m", "judge": "g", "games": [{"score": "B>A", "prompt": shown}, {"score": "A>>B"}]}
    rows = table(saved(tmp_path / "h.jsonl", [{**single, "score": 7}, {**single, "score": -1}, arena]))
    assert rows.rows["score_a"][0] == 7.0 and rows.word("error", 1) == "no score in the reply"
    assert [rows.body(0).item.prompt, rows.body(0).item.text_a] == ["Why?", "So."]
    assert (rows.rows["winner"][2], rows.rows["flipped"][2], rows.body(2).item.text_b) == (2, 1, "Two")


@pytest.mark.parametrize("name", ["p.json", "p.jsonl.gz"])
def test_a_file_that_is_no_lines_of_its_own_is_read_all_the_same(tmp_path: Path, name: str) -> None:
    records = [{"prompt": f"q{n}", "chosen": "yes", "rejected": "no"} for n in range(3)]
    data = json.dumps(records).encode() if name == "p.json" else "".join(f"{json.dumps(r)}\n" for r in records).encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    assert prompts(table(tmp_path / name)) == ["q0", "q1", "q2"]


def test_of_two_rows_with_one_id_the_last_counts(tmp_path: Path) -> None:
    old = judgment("p", "a", None, id="same")
    rows = table(saved(tmp_path / "j.jsonl", [old, judgment("q", "b", 2.0), judgment("p", "a", 4.0, id="same")]))
    assert rows.rows["replaced"].tolist() == [1, 0, 0]
    assert rows.kinds() == {"judgment": 2}


def test_bad_lines_are_counted_with_their_place_and_a_torn_last_line_is_no_row(tmp_path: Path) -> None:
    path = saved(tmp_path / "p.jsonl", PAIRS)
    with path.open("ab") as file:
        file.write(b'[1]\n\n{"no": "row"}\n{"prompt": "torn')
    rows = table(path)
    assert (len(rows), rows.n_bad, rows.n_torn) == (4, 2, 1)
    assert rows.bad[0].startswith(f"{path}:5: ")
    whole = saved(tmp_path / "w.jsonl", PAIRS)
    whole.write_bytes(whole.read_bytes().rstrip(b"\n"))
    assert (len(table(whole)), table(whole).n_torn) == (4, 0)


def test_what_is_appended_is_read_and_a_row_that_was_torn_becomes_whole(tmp_path: Path) -> None:
    path = saved(tmp_path / "p.jsonl", PAIRS)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1][:40])
    rows = table(path)
    assert len(rows) == 1 and not rows.changed()
    with path.open("ab") as file:
        file.write(lines[1][40:] + lines[2])
    assert rows.changed()
    assert list(rows.read())[-1] == 3
    assert prompts(rows) == ["apples", "berries", "cherries"] and rows.n_torn == 0


def test_a_file_that_a_run_gets_later_is_found(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    rows = table(run)
    assert not rows.changed()
    saved(run / "iter3" / "pairs.jsonl", PAIRS)
    assert rows.changed()
    list(rows.read())
    assert rows.kinds()["pair"] == 10


def test_how_far_a_run_is_is_said_while_a_process_is_at_work_on_it(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    (run / "run.toml").write_text("[settings]\niterations = 3\n")
    rows = table(run)
    assert rows.progress == ""
    with locked(run / "ledger.jsonl"):
        rows.changed()
        assert rows.progress == "live: iter2 of 3"
    rows.changed()
    assert rows.progress == ""


def test_a_deleted_file_stays_readable_and_a_replaced_one_is_read_again(tmp_path: Path) -> None:
    path = saved(tmp_path / "p.jsonl", PAIRS)
    rows = table(path)
    path.unlink()
    assert not rows.changed() and "was deleted" in rows.notices[-1]
    assert rows.body(1).item.text_a == "good berry"
    saved(path, PAIRS[2:])
    assert rows.changed() and "was replaced" in rows.notices[-1]
    assert prompts(rows)[1] == "berries"  # the old rows are there until the new ones are read
    list(rows.read())
    assert prompts(rows) == ["cherries", "dates"]
    with pytest.raises(InputError, match="this row is gone"):
        rows.body(3)
    path.unlink()
    path.mkdir()
    assert [rows.changed() for _ in range(3)].count(True) <= 1


def test_a_file_cut_off_in_place_is_told_and_not_shown_wrongly(tmp_path: Path) -> None:
    path = saved(tmp_path / "p.jsonl", PAIRS)
    rows = table(path)
    os.truncate(path, 10)
    with pytest.raises(InputError, match="was cut off"):
        rows.body(3)
    assert rows.head(3).startswith("(cannot be read")


@pytest.fixture
def worth_an_index(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(saving, "LEAST_BYTES", 1)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.usefixtures("worth_an_index")
def test_an_index_is_kept_extended_and_dropped_with_its_file(tmp_path: Path) -> None:
    path = saved(tmp_path / "p.jsonl", PAIRS)
    table(path)
    assert index_paths(path)[0].is_file()
    fresh = FileIndex(path, Words(["", "before"]))
    kept = load(fresh)
    assert kept is not None and fresh.is_read
    assert [fresh.words.words[code] for code in kept["judge"]] == ["f00d", "f00d", "", "f00d"]
    with path.open("ab") as file:
        file.write(path.read_bytes().splitlines(keepends=True)[0])
    longer = FileIndex(path, Words())
    assert load(longer) is not None and not longer.is_read
    assert prompts(table(path)) == ["apples", "berries", "cherries", "dates", "apples"]
    path.write_bytes(path.read_bytes().replace(b"berries", b"BERRIES"))
    os.utime(path, ns=(1, 1))
    assert load(FileIndex(path, Words())) is None
    assert prompts(table(path))[1] == "BERRIES"


@pytest.mark.usefixtures("worth_an_index")
def test_a_damaged_index_only_means_that_the_file_is_read(tmp_path: Path) -> None:
    path = saved(tmp_path / "p.jsonl", PAIRS)
    table(path)
    place = index_paths(path)[0]
    for damage in (b"", b"judgeloop index\n{}\n", place.read_bytes()[:5000]):
        place.write_bytes(damage)
        assert len(table(path)) == 4


@pytest.mark.usefixtures("worth_an_index")
def test_the_index_goes_to_the_cache_if_the_folder_is_not_writable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path / "p.jsonl", PAIRS)
    index = FileIndex(path, Words())
    rows = next(index.read())
    # a folder at its place, because the owner of the tests may write anywhere
    index_paths(path)[0].mkdir()
    place = save(index, rows)
    assert place == index_paths(path)[1] and place.is_file()
    assert load(FileIndex(path, Words())) is not None


@pytest.mark.parametrize("content", ["", "\n\n", "nothing here\n"])
def test_a_file_without_a_row_is_an_input_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "pairs.jsonl").write_text(content)
    with pytest.raises(InputError, match="pairs.jsonl"):
        table(tmp_path / "pairs.jsonl")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "no run in runs/"),
        (["demmo"], "no run 'demmo'"),
        (["runs/demmo"], "no run 'runs/demmo'"),
        (["missing.jsonl"], "missing.jsonl: no such file"),
        (["empty"], "empty: is a folder"),
        (["empty", "missing.jsonl"], "empty: is a folder"),
    ],
)
def test_what_names_nothing_is_an_input_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    with pytest.raises(InputError, match=message):
        table(*map(Path, names))


def test_a_run_a_folder_and_nothing_name_what_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = a_run(tmp_path)
    monkeypatch.chdir(tmp_path)
    files = find_source([]).files()
    assert len(files) == 4 and find_source([Path("small")]).files() == files
    only = find_source([run / "iter2"])
    assert [path.parent.name for path in only.files()] == ["iter2", "iter2"]
    assert only.votes == run / "votes.jsonl"


def test_labels_that_may_mean_either_side_need_codes(tmp_path: Path) -> None:
    rows = [{"prompt": "p", "output_1": "a", "output_2": "b", "label": label} for label in (0, 1)] * 20
    with pytest.raises(InputError, match="--codes"):
        table(saved(tmp_path / "l.jsonl", rows))


def test_one_million_characters_and_lone_surrogates_are_rows_too(tmp_path: Path) -> None:
    path = tmp_path / "h.jsonl"
    hostile = json.dumps({"prompt": "\ud800 \x00", "chosen": "x" * 1_000_000, "rejected": "\x1b[31m\u202e"})
    write_rows(path, [pair("one", "a", "b")])
    path.write_text(path.read_text() + hostile + "\n")
    view = view_of(path)
    assert len(view.rows) + view.table.n_bad == 2
    if len(view.rows) == 2:
        assert view.rows["chars_a"][1] == 1_000_000


def test_half_a_surrogate_pair_and_nul_are_in_no_way_of_a_row_of_ours_nor_of_its_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.reading.saved.LEAST_BYTES", 0)
    path = tmp_path / "j.jsonl"
    row = msgspec.structs.asdict(judgment("p \ud83d", "x\x00\ud83d", 2.0, model="m\udc00", judge="\ud83d", usage=None))
    path.write_text(json.dumps(row) + "\n")
    for _ in range(2):  # the second time from the index
        of = table(path)
        body = of.body(0)
        assert (of.n_bad, body.item.text_a, body.item.score_a) == (0, "x\x00\ud83d", 2.0)
        assert of.word("judge", 0) == of.word("model_a", 0).removeprefix("m") == "?"
    assert (tmp_path / ".j.jsonl.index").exists()


def test_a_kind_that_is_not_there_shows_no_row(tmp_path: Path) -> None:
    path = saved(tmp_path / "c.jsonl", COMPARISONS)
    for kind, n in (("comparison", 4), ("pair", 0)):
        browsing = Browsing(table(path), open_votes(tmp_path / "votes.jsonl"), "ann", kind=kind, is_kind_chosen=True)
        assert len(browsing.show_all()) == n
