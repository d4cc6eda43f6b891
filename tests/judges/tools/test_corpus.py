import gzip
import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from console.errors import InputError
from judges.tools.claims.sentences import sentences
from judges.tools.search.corpus import OVERLAP_WORDS, PASSAGE_WORDS, corpus_digest, cut, read_passages
from judges.tools.search.passages import open_passages


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JUDGELOOP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def long_text(n_sentences: int) -> str:
    return " ".join(f"Sentence number {n} says in exactly ten words what {n}." for n in range(n_sentences))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One is here. Two is there! Is three? Yes.", ["One is here.", "Two is there!", "Is three?", "Yes."]),
        ("Dr. Who met J. Smith at St. Ives. He left.", ["Dr. Who met J. Smith at St. Ives.", "He left."]),
        ("The U.S. Senate met. It cost $3.50 in all.", ["The U.S. Senate met.", "It cost $3.50 in all."]),
        ("Three things:\n- The first one\n- The second one", ["Three things:", "The first one", "The second one"]),
        ("1. Wash it.\n2. Dry it.", ["Wash it.", "Dry it."]),
        ('He said "Go." She went.', ['He said "Go."', "She went."]),
        ("One line\ngoes on here.", ["One line goes on here."]),
        ("一つです。二つです。", ["一つです。", "二つです。"]),
        ("", []),
    ],
)
def test_sentences_end_where_a_reader_ends_them(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


def test_sentences_agree_with_those_that_people_marked(data: Path) -> None:
    with gzip.open(data / "factcheck" / "factcheck-GPT-benchmark.jsonl.gz", "rt") as file:
        rows = [json.loads(line) for line in file]
    n_same = 0
    for row in rows:
        marked = [" ".join(sentence["text"].split()) for sentence in row["sentences"].values()]
        n_same += marked == sentences(row["response"])
    assert n_same >= 70, f"only {n_same} of {len(rows)} answers are cut as people cut them"


def test_a_short_text_stays_whole() -> None:
    assert cut("word " * 180) == [("word " * 180).strip()]


def test_a_long_text_is_cut_at_sentence_borders_with_overlap() -> None:
    text = long_text(60)
    passages = cut(text)
    assert len(passages) > 1
    for passage in passages:
        assert len(passage.split()) <= PASSAGE_WORDS
        assert passage.startswith("Sentence") and passage.endswith(".")
    for before, after in itertools.pairwise(passages):
        shared = [s for s in sentences(after) if s in sentences(before)]
        assert shared and sum(len(s.split()) for s in shared) <= OVERLAP_WORDS
    assert {s for p in passages for s in sentences(p)} == set(sentences(text))


def test_a_text_without_full_stops_is_cut_too() -> None:
    words = [f"w{n}" for n in range(500)]
    passages = cut(" ".join(words))
    assert all(len(passage.split()) <= PASSAGE_WORDS for passage in passages)
    assert " ".join(passages).split() == words


def test_a_folder_gives_each_file_with_its_heading_as_title(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.md").write_text("# The Moon\n\nIt has no air.")
    (folder / "sub" / "b.txt").write_text("# not a heading in plain text")
    (folder / "empty.txt").write_text("\n")
    (folder / "ignored.py").write_text("x = 1")
    passages = list(read_passages(folder))
    assert [(p.id, p.title) for p in passages] == [("a.md", "The Moon"), ("sub/b.txt", "b")]


@pytest.mark.parametrize("field", ["text", "passage", "evidence", "content", "body"])
def test_records_of_other_people_are_read(tmp_path: Path, field: str) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text(json.dumps({"id": 7, "title": "T", "url": "http://x", field: "Water is wet."}) + "\n")
    (passage,) = read_passages(path)
    assert (passage.id, passage.title, passage.url, passage.text) == ("7", "T", "http://x", "Water is wet.")


def test_csv_and_parquet_and_gzip_give_the_same_passages(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    rows = [{"title": "A", "text": "First text."}, {"title": "B", "text": "Second text."}]
    (tmp_path / "c.csv").write_text("title,text\nA,First text.\nB,Second text.\n")
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "c.parquet")
    with gzip.open(tmp_path / "c.jsonl.gz", "wt") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    found = [list(read_passages(tmp_path / name)) for name in ("c.csv", "c.parquet", "c.jsonl.gz")]
    assert found[0] == found[1] == found[2]
    assert [p.text for p in found[0]] == ["First text.", "Second text."]


def test_a_repeated_text_counts_once_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text('{"text": "Same."}\n{"text": "Same."}\n{"text": "Other."}\n')
    assert [p.text for p in read_passages(path)] == ["Same.", "Other."]
    assert "1 of 3 texts repeat" in capsys.readouterr().err


def test_passages_that_share_an_id_can_be_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text('{"id": "p", "text": "One."}\n{"id": "p", "text": "Two."}\n')
    ids = [p.id for p in read_passages(path)]
    assert ids[0] == "p" and ids[1].startswith("p-") and ids == [p.id for p in read_passages(path)]


def test_the_parts_of_a_long_text_are_numbered(tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_text(long_text(40))
    assert [p.id for p in read_passages(tmp_path / "long.txt")][:2] == ["long.txt#1", "long.txt#2"]


def test_a_bad_record_is_named_and_the_others_are_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text('{"words": "no text"}\n{"text": "Good."}\n')
    assert [p.text for p in read_passages(path)] == ["Good."]
    assert f"{path}:1: no text: expected one of text, passage" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.jsonl", None, "no such corpus"),
        ("c.pdf", "x", "unknown kind of file"),
        ("c.jsonl", '{"x": 1}\n', "there is no text in it"),
    ],
)
def test_a_corpus_that_cannot_be_read_says_why(tmp_path: Path, name: str, content: str | None, message: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=message):
        open_passages(path)
    assert not list((tmp_path / "cache").rglob("*.tmp")), "a failed build leaves nothing behind"


def test_an_empty_folder_says_what_is_looked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no \.txt or \.md file"):
        corpus_digest(tmp_path)


def test_the_digest_follows_the_content_and_not_the_place(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.txt").write_text("Text.")
    assert corpus_digest(tmp_path / "one") == corpus_digest(tmp_path / "two")
    (tmp_path / "two" / "a.txt").write_text("Text!")
    assert corpus_digest(tmp_path / "one") != corpus_digest(tmp_path / "two")


def test_passages_rest_on_disk_and_are_cut_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text(
        "".join(json.dumps({"id": str(n), "title": f"T{n}", "text": f"Text é {n}."}) + "\n" for n in range(9))
    )
    passages = open_passages(path)
    assert len(passages) == 9 and isinstance(passages.offsets, np.memmap)
    assert [p.id for p in passages.read([8, 0, 3])] == ["8", "0", "3"]
    assert list(passages.texts())[1] == "T1: Text é 1."
    capsys.readouterr()
    again = open_passages(path)
    assert again.read([4]) == passages.read([4]) and capsys.readouterr().err == ""
