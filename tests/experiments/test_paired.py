import json
from pathlib import Path

from experiments.paired import answered, difference


def write(path: Path, *rows: dict[str, object]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_only_the_number_that_the_task_shows_is_read(tmp_path: Path) -> None:
    write(
        tmp_path / "samples_gsm8k.jsonl",
        {"doc_id": 0, "filter": "strict-match", "exact_match": 0.0},
        {"doc_id": 0, "filter": "flexible-extract", "exact_match": 1.0},
    )
    write(tmp_path / "samples_arc_gen.jsonl", {"doc_id": 0, "filter": "strict-match", "exact_match": 1.0})
    found = answered(tmp_path, {"task": "gsm8k", "metric": "exact_match,strict-match"})
    assert found == {("samples_gsm8k.jsonl", 0): 0.0}


def test_a_task_of_several_parts_has_the_questions_of_all(tmp_path: Path) -> None:
    for subject in ("anatomy", "virology"):
        write(tmp_path / f"samples_mmlu_{subject}.jsonl", {"doc_id": 0, "filter": "none", "acc": 1.0})
    assert len(answered(tmp_path, {"task": "mmlu", "metric": "acc,none"})) == 2


def test_a_difference_is_of_the_questions_that_both_have() -> None:
    mean = difference({("a", 0): 1.0, ("a", 1): 1.0}, {("a", 1): 0.5, ("a", 2): 1.0})
    assert mean is not None and (mean.value, mean.n) == (0.5, 1)


def test_models_that_share_no_question_have_no_difference() -> None:
    assert difference({("a", 0): 1.0}, {("b", 0): 1.0}) is None
