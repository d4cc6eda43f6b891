"""Every command reads every kind of file, and says the same of a bad row and of a wrong --limit."""

import gzip
import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from console.command import parse
from console.errors import InputError, RowError
from judges.judging.contests import read_contests
from judges.rescore.rereading import latest_rows
from judges.rubrics.rubric import load_rubric
from records import Comparison, Judgment, Usage, Vote, read_rows
from records.votes import read_votes
from trainer.pairs.filters import read_second_scores
from tui.reading.table import open_files

KINDS = ("x.jsonl", "bom.jsonl", "x.jsonl.gz", "x.json", "x.json.gz", "x.parquet", "utf16.jsonl", "nan.jsonl")


def judgment(n: int, prompt: str = "p") -> Judgment:
    return Judgment(
        id=f"j{prompt}{n}", response_id=f"r{prompt}{n}", prompt_id=prompt, prompt=prompt, response=f"A{n}", model="m",
        score=float(n), scores=[float(n)], replies=[f"Score: {n}", f"so: Score: {n}"], error=None, spread=None,
        rubric="additive", judge="j", usage=Usage(), read="text", aggregate="mean", finish_reasons=["stop", "stop"],
    )  # fmt: skip


JUDGMENTS = [judgment(n, prompt) for prompt in ("p", "q") for n in (1, 3)]
PAIRS = [{"prompt": f"p{n}", "chosen": "yes", "rejected": "no", "chosen_score": 2.5} for n in range(3)]


def saved(folder: Path, name: str, rows: list[Any]) -> Path:
    path = folder / name
    plain = [msgspec.to_builtins(row) for row in rows]
    kind = name.removesuffix(".gz").rsplit(".", 1)[1]
    if kind == "parquet":
        import pyarrow
        import pyarrow.parquet

        filled = [{name: value for name, value in row.items() if value != {}} for row in plain]  # Parquet has no {}
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(filled), path)
        return path
    if name.startswith("nan"):
        plain = [{**row, "of somebody else": float("nan")} for row in plain]
    text = json.dumps(plain) if kind == "json" else "".join(json.dumps(row) + "\r\n\r\n" for row in plain)
    data = text.encode("utf-16" if name.startswith("utf16") else "utf-8-sig" if name.startswith("bom") else "utf-8")
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def ran(module: str, *argv: str) -> None:
    command = importlib.import_module(module)
    if hasattr(command, "__path__"):
        command = importlib.import_module(f"{module}.__main__")
    command.main(parse(command.Config, list(argv), module))


@pytest.mark.parametrize("name", KINDS)
def test_stored_judgments_are_read_by_every_command_that_takes_them(tmp_path: Path, name: str) -> None:
    path = saved(tmp_path, name, JUDGMENTS)
    assert list(latest_rows(path)) == JUDGMENTS
    ran("trainer.pairs", str(path), "--out", "pairs.jsonl")
    assert len(Path("pairs.jsonl").read_text().splitlines()) == 2
    ran("judges.best_of", str(path), "--out", "best.jsonl")
    assert [json.loads(line)["response"] for line in Path("best.jsonl").read_text().splitlines()] == ["A3", "A3"]
    ran("judges.rescore", str(path), "--out", "again.jsonl")
    assert [row.score for row in read_rows(Path("again.jsonl"), Judgment)] == [1.0, 3.0, 1.0, 3.0]
    assert len(read_contests(path, None, load_rubric("meta_judge"), strict=True)) == 4
    assert len(read_contests(path, path, load_rubric("meta_judge"), strict=True)) == 4
    other = [msgspec.structs.replace(row, judge="another") for row in JUDGMENTS]
    assert len(read_second_scores(saved(tmp_path, f"second {name}", other), JUDGMENTS)) == 4


@pytest.mark.parametrize("name", KINDS)
def test_votes_and_pairs_are_read_from_every_kind_of_file(tmp_path: Path, name: str) -> None:
    vote = Vote(at="2026-01-01", voter="ann", prompt_id="p", a_id="r1", b_id="r2", winner="b", blind=True)
    votes = read_votes(saved(tmp_path, f"votes {name}", [vote]))
    assert votes == {("p", frozenset(("r1", "r2"))): {"ann": "r2"}}
    table = open_files(saved(tmp_path, name, PAIRS), strict=True)
    assert [(table.head(row), table.rows["score_a"][row]) for row in range(3)] == [(f"p{n}", 2.5) for n in range(3)]


def test_scores_in_the_cells_of_a_table_are_scores(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("scored.csv").write_text("prompt,response,score\nQ,bad,1\nQ,42,4.5\nQ,none,\nQ,odd,NaN\n")
    ran("judges.best_of", "scored.csv", "--out", "best.jsonl", "--json")
    out, err = capsys.readouterr()
    assert json.loads(Path("best.jsonl").read_text())["response"] == "42"
    [row] = json.loads(out)
    assert (row["answers"], row["unscored"], row["mean score of the best"]) == (4, 2, 4.5)
    assert "scored.csv:5: 'score' must be a number, found 'NaN'" in err


BAD = {
    "NaN": '{"id": "x", "score": NaN}',
    "deep": '{"a": ' + "[" * 3000 + "]" * 3000 + "}",
    "torn": '{"id": "x", "sco',
    "another": '{"prompt": "Q"}',
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_judgment_is_named_and_the_others_are_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    path = tmp_path / "x.jsonl"
    rows = [msgspec.json.encode(row).decode() for row in JUDGMENTS]
    path.write_text("\n".join([rows[0], BAD[what], *rows[1:]]) + "\n")
    ran("trainer.pairs", str(path), "--out", "pairs.jsonl")
    assert len(Path("pairs.jsonl").read_text().splitlines()) == 2
    assert f"skipped: {path}:2: " in capsys.readouterr().err
    for reading in (
        lambda: ran("trainer.pairs", str(path), "--strict"),
        lambda: list(latest_rows(path)),
        lambda: ran("judges.rescore", str(path)),
    ):
        with pytest.raises(RowError, match="x.jsonl:2: "):
            reading()


READ: dict[str, Callable[[Path], object]] = {
    "rescore": lambda path: list(latest_rows(path)),
    "pairs": lambda path: ran("trainer.pairs", str(path)),
    "best_of": lambda path: ran("judges.best_of", str(path)),
    "score": lambda path: ran("judges.score", str(path), "--dry-run"),
    "cluster": lambda path: ran("judges.cluster", str(path)),
    "dpo": lambda path: ran("trainer.dpo", str(path), "--dry-run"),
    "sft": lambda path: ran("trainer.sft", str(path), "--dry-run"),
    "reward_model": lambda path: ran("trainer.reward_model", str(path), "--dry-run"),
    "calibrate": lambda path: ran("judges.calibrate", str(path), "--dry-run"),
    "verdicts": lambda path: ran("judges.calibrate", "labels.json", "--verdicts", str(path)),
    "compare": lambda path: ran("judges.compare", str(path), "--rubric", "pairwise", "--dry-run"),
    "ranked": lambda path: ran("trainer.eft", str(path), "--dry-run"),
    "tui": open_files,
    "votes": read_votes,
    "second judge": lambda path: read_second_scores(path, JUDGMENTS),
    "corpus": lambda path: ran("judges.score", "--retrieval.corpus", str(path), "--dry-run"),
    "alpaca": lambda path: ran("evals.alpaca", "--annotations", str(path)),
    "head to head": lambda path: ran("evals.head_to_head", str(path), "m", "--judge-model", "j"),
}


@pytest.mark.parametrize("command", [name for name in READ if name != "corpus"])
@pytest.mark.parametrize("kind", ["missing", "no gzip", "broken gzip", "no parquet", "cut list", "folder"])
def test_a_file_that_cannot_be_read_is_one_line_that_names_it(tmp_path: Path, command: str, kind: str) -> None:
    labels = [{"input": "Q", "output_1": "a", "output_2": "b", "label": 1}]
    Path("labels.json").write_text(json.dumps(labels))
    name = {"missing": "nope.jsonl", "no parquet": "x.parquet", "cut list": "x.json", "folder": "x"}.get(
        kind, "x.jsonl.gz"
    )
    path = tmp_path / name
    packed = gzip.compress(b"".join(b'{"a": "%d"}\n' % (n * 7919) for n in range(500)), mtime=0)
    content = {
        "no gzip": b"{}",
        "broken gzip": packed[:100] + b"\xff" * 40 + packed[140:],
        "no parquet": b"PAR1 is no Parquet",
        "cut list": b'[\n{"prompt": "Q", "response": "A"},\n{"prompt": "Q", "resp',
    }
    if kind == "folder":
        path.mkdir()
    elif kind in content:
        path.write_bytes(content[kind])
    with pytest.raises(InputError) as caught:
        READ[command](path)
    assert name in str(caught.value) and "\n" not in str(caught.value)


LIMITED = {
    "judges.score": "answers.jsonl",
    "judges.compare": "pairs.jsonl",
    "judges.cluster": "answers.jsonl",
    "judges.calibrate": "pairs.jsonl",
    "judges.attacks.__main__": "",
    "judges.best_of": "answers.jsonl",
    "judges.rescore": "judged.jsonl",
    "trainer.pairs": "judged.jsonl",
    "trainer.sft": "answers.jsonl",
    "trainer.ift.__main__": "answers.jsonl",
    "trainer.dpo": "pairs.jsonl",
    "trainer.orpo": "pairs.jsonl",
    "trainer.simpo": "pairs.jsonl",
    "trainer.kto": "pairs.jsonl",
    "trainer.reward_model": "pairs.jsonl",
    "trainer.ppo.__main__": "answers.jsonl",
    "trainer.grpo.__main__": "answers.jsonl",
    "trainer.eft": "ranked.jsonl",
    "evals.reward_model": "ranked.jsonl",
    "evals.open_llm.__main__": "",
    "evals.alpaca": "",
    "evals.head_to_head.__main__": "answers.jsonl",
}


@pytest.mark.parametrize("dry", [["--dry-run"], []], ids=["dry", "in earnest"])
@pytest.mark.parametrize("limit", ["0", "-1", "-9"])
@pytest.mark.parametrize("module", LIMITED)
def test_a_limit_under_1_is_refused_by_every_command_before_anything(module: str, limit: str, dry: list[str]) -> None:
    rows = {
        "answers.jsonl": [{"prompt": "Q", "response": "A"}, {"prompt": "Q", "response": "B"}],
        "pairs.jsonl": PAIRS,
        "judged.jsonl": [msgspec.to_builtins(row) for row in JUDGMENTS],
        "ranked.jsonl": [{"prompt": "Q", "responses": ["a", "b"], "ranks": [0, 1]}],
    }
    for name, content in rows.items():
        Path(name).write_text("".join(json.dumps(row) + "\n" for row in content))
    file = [LIMITED[module]] if LIMITED[module] else []
    file += ["--reward", "runs/rm"] if "ppo" in module else []
    with pytest.raises(InputError, match=f"--limit must be at least 1, not {limit}"):
        ran(module, *file, *dry, "--limit", limit)
    assert sorted(path.name for path in Path().iterdir()) == sorted(rows)


@pytest.mark.parametrize(("limit", "n"), [(1, 1), (3, 3), (9, 4)])
def test_stored_replies_are_read_again_up_to_the_limit(tmp_path: Path, limit: int, n: int) -> None:
    path = saved(tmp_path, "judged.jsonl", JUDGMENTS)
    ran("judges.rescore", str(path), "--out", "again.jsonl", "--limit", str(limit))
    assert len(list(read_rows(Path("again.jsonl"), Judgment))) == n


@pytest.mark.parametrize(("limit", "n"), [(1, 1), (2, 2), (9, 2)])
def test_pairs_are_made_of_the_first_prompts_up_to_the_limit(tmp_path: Path, limit: int, n: int) -> None:
    path = saved(tmp_path, "judged.jsonl", [JUDGMENTS[0], *JUDGMENTS[2:], JUDGMENTS[1]])
    ran("trainer.pairs", str(path), "--out", "pairs.jsonl", "--limit", str(limit))
    assert len(Path("pairs.jsonl").read_text().splitlines()) == n


def test_comparisons_are_read_again_from_a_table(tmp_path: Path) -> None:
    row = Comparison(
        id="c", prompt_id="p", prompt="Q", response_a="a", response_b="b", model_a="x", model_b="y", winner="a",
        first_order="a", second_order="a", flipped=False, preference_b=0.0, replies=["Better: A", "Better: B"],
        error=None, rubric="pairwise", judge="j", usage=Usage(), read="text", aggregate="mean",
        finish_reasons=["stop", "stop"], reply_orders=["ab", "ba"],
    )  # fmt: skip
    for name in KINDS:
        assert list(latest_rows(saved(tmp_path, name, [row]))) == [row]
