"""Every labelled set at hand, with verdicts on it in any order of the rows and of the sides: the same numbers."""

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from judges.audit.stored import Stored, stored_verdicts
from judges.labelled.columns import Columns
from judges.labelled.labels import SWAPPED, LabelledPair, LabelledSet
from judges.labelled.readers.formats import read_labelled
from records.files import BadRows, read_records
from records.rows import Winner
from tests.verdict_tables import jsonl

Row = dict[str, Any]
SIDES: tuple[Winner, ...] = ("a", "b", "tie")
PAIRS = (
    "llmbar/Natural.json",
    "llmbar/Adversarial_GPTOut.json",
    "llmbar/Adversarial_Manual.json",
    "pandalm/testset-v1.json.gz",
    "judgebench/gpt-4o-2024-05-13.jsonl.gz",
    "faireval",
    "prometheus/hhh_alignment_eval.json.gz",
    "oasst/en_100_tree.jsonl.gz",
    "hh-rlhf/harmless-base_test.jsonl.gz",
)


def read(path: Path) -> LabelledSet:
    return read_labelled(path, None, Columns(), BadRows(quiet=True))


def stored(path: Path, labelled: LabelledSet) -> Stored:
    return stored_verdicts(path, labelled, Columns(), BadRows(strict=True))


def said(pair: LabelledPair) -> Winner:
    """Return a verdict that the answers decide, right in about half of all pairs."""
    first, second = sorted((pair.response_a, pair.response_b))
    side = SIDES[(len(first) + 3 * len(second)) % 3]
    return side if first == pair.response_a else SWAPPED[side]


def table_of(labelled: LabelledSet) -> list[Row]:
    return [
        {"prompt": p.prompt, "response_a": p.response_a, "response_b": p.response_b, "verdict": said(p)}
        for p in labelled.pairs
    ]


def exchanged(row: Row) -> Row:
    turned = {**row, "response_a": row["response_b"], "response_b": row["response_a"]}
    return {**turned, "verdict": SWAPPED[row["verdict"]]}


def shuffled(rows: list[Row]) -> list[Row]:
    return Random(0).sample(rows, len(rows))


@pytest.mark.parametrize("file", PAIRS)
def test_the_order_of_rows_and_of_sides_changes_no_verdict(data: Path, tmp_path: Path, file: str) -> None:
    labelled = read(data / file)
    table = table_of(labelled)
    half = [exchanged(row) if i % 2 else row for i, row in enumerate(table)]
    expected = [said(pair) for pair in labelled.pairs]
    for name, rows in {"same": table, "tac": table[::-1], "sides": half, "both": shuffled(half)}.items():
        found = stored(jsonl(tmp_path / f"{name}.jsonl", rows), labelled)
        assert list(found.labelled.pairs) == list(labelled.pairs)
        assert [verdict.winner for verdict in found.verdicts] == expected, name


@pytest.mark.parametrize(
    ("file", "key"),
    [
        ("pandalm/testset-v1.json.gz", "idx"),
        ("judgebench/gpt-4o-2024-05-13.jsonl.gz", "pair_id"),
        ("faireval", "question_id"),
    ],
)
def test_a_set_with_keys_needs_no_texts(data: Path, tmp_path: Path, file: str, key: str) -> None:
    labelled = read(data / file)
    table = [{key: pair.keys[key], "verdict": said(pair)} for pair in labelled.pairs]
    expected = [said(pair) for pair in labelled.pairs]
    for rows in (table, table[::-1], shuffled(table)):
        found = stored(jsonl(tmp_path / "v.jsonl", rows), labelled)
        assert [verdict.winner for verdict in found.verdicts] == expected
    part = stored(jsonl(tmp_path / "v.jsonl", shuffled(table)[: len(table) // 2]), labelled)
    assert len(part.verdicts) == len(table) // 2 and part.n_labelled == len(table)
    assert [verdict.winner for verdict in part.verdicts] == [said(pair) for pair in part.labelled.pairs]


def pandalm_turned(row: Row) -> Row:
    votes = {name: {0: 0, 1: 2, 2: 1}[row[name]] for name in ("annotator1", "annotator2", "annotator3")}
    key = "_".join(row["cmp_key"].split("_")[::-1])
    return {**row, **votes, "cmp_key": key, "response1": row["response2"], "response2": row["response1"]}


def llmbar_turned(row: Row) -> Row:
    return {**row, "output_1": row["output_2"], "output_2": row["output_1"], "label": 3 - row["label"]}


def judgebench_turned(row: Row) -> Row:
    label = {"A>B": "B>A", "B>A": "A>B"}[row["label"]]
    return {**row, "response_A": row["response_B"], "response_B": row["response_A"], "label": label}


@pytest.mark.parametrize(
    ("file", "turned"),
    [
        ("llmbar/Natural.json", llmbar_turned),
        ("pandalm/testset-v1.json.gz", pandalm_turned),
        ("judgebench/gpt-4o-2024-05-13.jsonl.gz", judgebench_turned),
    ],
)
def test_labels_the_other_way_round_are_the_mirror(
    data: Path, tmp_path: Path, file: str, turned: Callable[[Row], Row]
) -> None:
    records = [record for _, record in read_records(data / file, BadRows(strict=True))]
    before = read(data / file)
    after = read(jsonl(tmp_path / "turned.jsonl", shuffled([turned(record) for record in records])))
    table = jsonl(tmp_path / "v.jsonl", table_of(before))
    one, two = stored(table, before), stored(table, after)

    def counts(found: Stored) -> list[tuple[Winner, Winner | None]]:
        return sorted((p.label, v.winner or "tie") for p, v in zip(found.labelled.pairs, found.verdicts, strict=True))

    assert counts(one) == sorted((SWAPPED[label], SWAPPED[winner or "tie"]) for label, winner in counts(two))


def test_pandalms_own_verdicts_are_the_same_in_any_order(data: Path, tmp_path: Path) -> None:
    labelled = read(data / "pandalm/testset-v1.json.gz")
    path = data / "pandalm/gpt-3.5-turbo-testset-v1.json.gz"
    rows = [record for _, record in read_records(path, BadRows(strict=True))]
    expected = stored(path, labelled).verdicts
    assert sum(v.winner == p.label for v, p in zip(expected, labelled.pairs, strict=True)) == 697  # of 974
    own = [{"pandalm_result" if name == "gpt_result" else name: v for name, v in row.items()} for row in rows]
    for some in (rows[::-1], shuffled(rows), shuffled(own)):
        assert stored(jsonl(tmp_path / "v.jsonl", some), labelled).verdicts == expected


def test_prometheus_scores_are_found_by_their_index_and_their_model(data: Path, tmp_path: Path) -> None:
    labelled = read(data / "prometheus/mt_bench_eval.json.gz")
    rows = [record for _, record in read_records(data / "prometheus/mt_bench_eval.json.gz", BadRows())]
    table = [
        {"idx": r["idx"], "response_source": r["response_source"], "score": 1 + len(r["instruction"]) % 5} for r in rows
    ]
    expected = [row["score"] for row in table]
    for some in (table, table[::-1], shuffled(table)):
        found = stored(jsonl(tmp_path / "v.jsonl", some), labelled)
        assert [grade.score for grade in found.grades] == expected
    texts = [{"prompt": i.prompt, "response": i.response, "score": 2} for i in labelled.scores]
    assert len(stored(jsonl(tmp_path / "v.jsonl", texts[::-1]), labelled).grades) == len(labelled.scores)


def test_ranked_replies_are_scored_by_message(data: Path, tmp_path: Path) -> None:
    labelled = read(data / "oasst/en_100_tree.jsonl.gz")
    scores = {item.id: len(item.response) for item in labelled.scores}
    only = LabelledSet(labelled.name, labelled.format, labelled.labeller, (), labelled.scores)
    table = [{"message_id": name, "score": score} for name, score in scores.items()]
    found = stored(jsonl(tmp_path / "v.jsonl", shuffled(table)), only)
    assert [grade.score for grade in found.grades] == [scores[item.id] for item in only.scores]


def test_alpaca_evals_annotations_are_verdicts_on_the_same_two_models(data: Path, tmp_path: Path) -> None:
    """One annotator of version 2 against another's verdicts: instructions and outputs join them, sides are turned."""
    path = data / "alpaca_eval/ae2_annotations/alpaca-7b.json.gz"
    rows = [record for _, record in read_records(path, BadRows())]
    labels = [
        {**{n: r[n] for n in ("instruction", "output_1", "output_2")}, "label": 1 + round(r["preference"] - 1)}
        for r in rows
    ]
    labelled = read(jsonl(tmp_path / "labels.jsonl", labels))
    turned = [
        {"instruction": r["instruction"], "output_1": r["output_2"], "output_2": r["output_1"],
         "preference": 3 - r["preference"]}
        for r in rows
    ]  # fmt: skip
    found = stored(jsonl(tmp_path / "v.jsonl", shuffled(turned)), labelled)
    assert len(found.verdicts) == 805
    assert all(v.winner in (p.label, "tie", None) for v, p in zip(found.verdicts, found.labelled.pairs, strict=True))
    assert json.dumps([v.winner for v in found.verdicts]) == json.dumps(
        [v.winner for v in stored(path, labelled).verdicts]
    )
