from pathlib import Path

import pytest

from console.errors import InputError
from records.runs import Run
from trainer.runs.eval_integrity import check_eval_hashes, write_eval_hashes


@pytest.fixture
def run(tmp_path: Path) -> Run:
    made = Run(tmp_path / "run")
    for name in ("judgments", "comparisons", "iter0"):
        (made.folder / "eval").mkdir(parents=True, exist_ok=True)
        (made.folder / "eval" / f"{name}.jsonl").write_text('{"a": 1}\n{"a": 2}\n')
    (made.folder / "eval" / "labelled" / "iter1").mkdir(parents=True)
    (made.folder / "eval" / "labelled" / "iter1" / "judgments.jsonl").write_text('{"b": 1}\n')
    made.iteration(1).mkdir()
    (made.iteration(1) / "metrics.json").write_text("{}")
    write_eval_hashes(made)
    return made


FILES = ["eval/judgments.jsonl", "eval/comparisons.jsonl", "eval/labelled/iter1/judgments.jsonl", "iter1/metrics.json"]


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_the_measuring_that_was_edited_is_named(run: Run, name: str) -> None:
    check_eval_hashes(run)
    file = run.folder / name
    file.write_bytes(file.read_bytes().replace(b"1", b"3").replace(b"{}", b"[]"))
    with pytest.raises(InputError, match=rf"{name} was changed after it was measured with: its hash was"):
        check_eval_hashes(run)


@pytest.mark.parametrize("name", FILES)
def test_one_that_is_gone_or_shorter_is_named(run: Run, name: str) -> None:
    file = run.folder / name
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(InputError, match=rf"{name} was changed .* bytes and has"):
        check_eval_hashes(run)
    file.unlink()
    with pytest.raises(InputError, match=rf"{name} was changed .*it is gone"):
        check_eval_hashes(run)


def test_one_that_has_grown_is_as_it_was(run: Run) -> None:
    with (run.folder / "eval" / "judgments.jsonl").open("a") as file:
        file.write('{"a": 3}\n{"a":')
    check_eval_hashes(run)


def test_a_run_that_was_not_measured_yet_has_nothing_to_check(tmp_path: Path) -> None:
    check_eval_hashes(Run(tmp_path))


def test_damaged_hashes_are_named(run: Run) -> None:
    (run.folder / "eval" / "hashes.json").write_bytes(b'{"files": {"a": {"n_bytes": "x"}}}')
    with pytest.raises(InputError, match=r"eval/hashes\.json: cannot be read: .*n_bytes"):
        check_eval_hashes(run)
