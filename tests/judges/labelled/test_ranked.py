import gzip
import json
from itertools import combinations
from pathlib import Path
from random import Random
from typing import Any

import pytest

from console.errors import InputError, RowError
from judges.labelled.ranked import RankedAnswers, opening_of, ordered_pairs, responses_to
from judges.labelled.ranked_files import read_ranked
from records.files import BadRows
from records.store import write_rows

Tree = dict[str, Any]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def message(name: str, text: str, role: str = "assistant", rank: int | None = None, **more: Any) -> Tree:
    return {"message_id": name, "text": text, "role": role, "rank": rank, "replies": [], **more}


def tree(lang: str | None = "en") -> Tree:
    """A question with three ranked answers, the best of which has a follow-up with two more and an unranked one."""
    root = message("q", "Why?", "prompter")
    if lang:
        root["lang"] = lang
    root["replies"] = [message("a2", "worst", rank=2), message("a0", "best", rank=0), message("a1", "fair", rank=1)]
    follow_up = message("q2", "And then?", "prompter", rank=0)
    follow_up["replies"] = [message("b1", "no", rank=1), message("b0", "yes", rank=0), message("b2", "unranked")]
    root["replies"][1]["replies"] = [follow_up]
    return {"message_tree_id": "q", "prompt": root}


def flat(node: Tree, parent: str | None = None) -> list[dict[str, Any]]:
    own = {**node, "parent_id": parent}
    replies = own.pop("replies")
    return [own, *(row for reply in replies for row in flat(reply, node["message_id"]))]


def one(path: Path, row: dict[str, Any]) -> RankedAnswers:
    [ranked] = read_ranked(write(path / "rows.jsonl", [row]), BadRows(strict=True))
    return ranked


def test_the_real_trees_hold_what_counting_them_by_hand_gives(data: Path) -> None:
    path = data / "oasst" / "en_100_tree.jsonl.gz"
    bad = BadRows()
    ranked = read_ranked(path, bad)
    n_nodes = n_ranked = n_pairs = 0
    with gzip.open(path) as file:
        stack = [json.loads(line)["prompt"] for line in file]
    while stack:
        node = stack.pop()
        stack += node["replies"]
        ranks = [reply["rank"] for reply in node["replies"] if reply.get("rank") is not None]
        if len(ranks) > 1:
            n_nodes, n_ranked = n_nodes + 1, n_ranked + len(ranks)
            n_pairs += sum(a != b for a, b in combinations(ranks, 2))
    assert (n_nodes, n_ranked, n_pairs) == (212, 641, 754)
    assert len(ranked) == n_nodes and sum(len(row.responses) for row in ranked) == n_ranked
    assert sum(len(ordered_pairs(row)) for row in ranked) == n_pairs
    assert len({opening_of(row) for row in ranked}) == 100 and bad.n_bad == 0


def test_a_tree_gives_each_message_with_two_ranked_replies_and_what_was_said_before(tmp_path: Path) -> None:
    first, second = read_ranked(write(tmp_path / "t.jsonl", [tree()]), BadRows(strict=True))
    assert (first.id, first.prompt) == ("q", "Why?")
    assert dict(zip(first.responses, first.ranks, strict=True)) == {"best": 0, "fair": 1, "worst": 2}
    assert isinstance(second.prompt, list)
    assert [turn["role"] for turn in second.prompt] == ["user", "assistant", "user"]
    assert dict(zip(second.responses, second.ranks, strict=True)) == {"yes": 0, "no": 1}
    assert opening_of(first) == opening_of(second) == "why?"


def test_the_hubs_table_of_messages_reads_as_the_nested_trees_do(data: Path, tmp_path: Path) -> None:
    path = data / "oasst" / "en_100_tree.jsonl.gz"
    with gzip.open(path) as file:
        rows = [row for line in file for row in flat(json.loads(line)["prompt"])]
    Random(0).shuffle(rows)
    nested = {row.id: row for row in read_ranked(path, BadRows())}
    table = {row.id: row for row in read_ranked(write(tmp_path / "m.jsonl", rows), BadRows(strict=True))}
    assert table.keys() == nested.keys()
    for row_id, row in table.items():
        assert row.prompt == nested[row_id].prompt
        pairs = [zip(one.responses, one.ranks, strict=True) for one in (row, nested[row_id])]
        assert sorted(pairs[0]) == sorted(pairs[1])


def test_trees_in_other_languages_are_left_out_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    another = tree(None)
    another["prompt"]["text"] = "Why not?"
    path = write(tmp_path / "t.jsonl", [tree("de"), tree("en"), another])
    bad = BadRows()
    assert len(read_ranked(path, bad)) == 4 and bad.n_bad == 0
    assert "1 of 3 trees are not in English" in capsys.readouterr().err


def test_replies_to_a_message_that_is_missing_are_counted(tmp_path: Path) -> None:
    rows = [row for row in flat(tree()["prompt"]) if row["message_id"] != "q2"]
    bad = BadRows()
    [ranked] = read_ranked(write(tmp_path / "m.jsonl", rows), bad)
    assert (ranked.id, bad.n_bad) == ("q", 1)


def test_own_rows_keep_their_order_and_get_ranks_from_0(tmp_path: Path) -> None:
    chat = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Why?"}]
    row = {"id": 7, "prompt": chat, "responses": ["x", "y", "z"], "ranks": [5, 1, 5], "scores": [1, 4.5, 1]}
    ranked = one(tmp_path, row)
    assert (ranked.id, ranked.prompt, ranked.ranks, ranked.scores) == ("7", chat, [1, 0, 1], [1, 4.5, 1])
    assert ordered_pairs(ranked) == [(1, 0), (1, 2)] and opening_of(ranked) == "why?"


def test_what_was_read_can_be_written_and_read_again(tmp_path: Path) -> None:
    ranked = read_ranked(write(tmp_path / "t.jsonl", [tree()]), BadRows())
    write_rows(tmp_path / "held_out.jsonl", ranked)
    assert read_ranked(tmp_path / "held_out.jsonl", BadRows(strict=True)) == ranked


def test_helpsteer_rows_are_grouped_by_prompt_and_ranked_by_helpfulness(tmp_path: Path) -> None:
    rows = [
        {"prompt": "p", "response": "a", "helpfulness": 2, "verbosity": 4},
        {"prompt": "q", "response": "c", "helpfulness": 0, "verbosity": 1},
        {"prompt": "p", "response": "b", "helpfulness": 3, "verbosity": 1},
        {"prompt": "q", "response": "d", "helpfulness": 4, "verbosity": 2},
        {"prompt": "p", "response": "e", "helpfulness": 3, "verbosity": 0},
    ]
    first, second = read_ranked(write(tmp_path / "h.jsonl", rows), BadRows(strict=True))
    assert (first.prompt, first.responses, first.ranks, first.scores) == ("p", ["a", "b", "e"], [1, 0, 0], [2, 3, 3])
    assert (second.prompt, second.ranks) == ("q", [1, 0])


def test_nectar_and_distilabel_are_ranked_by_their_ranks_and_ratings(tmp_path: Path) -> None:
    nectar = [{"answer": "a", "rank": 3.0, "model": "x"}, {"answer": "b", "rank": 1.0}, {"answer": "c", "rank": None}]
    ranked = one(tmp_path, {"prompt": "\n\nHuman: Do.\n\nAssistant: ", "answers": nectar, "turns": 1})
    assert (ranked.responses, ranked.ranks, ranked.scores) == (["a", "b"], [1, 0], None)
    ranked = one(tmp_path, {"instruction": "Do.", "generations": ["a", "b", "c"], "ratings": [1, None, 5]})
    assert (ranked.responses, ranked.ranks, ranked.scores) == (["a", "c"], [1, 0], [1, 5])


def test_scores_of_two_scales_are_not_compared(tmp_path: Path) -> None:
    completions = [
        {"response": "a", "overall_score": 9},
        {"response": "b", "fine-grained_score": 4.0},
        {"response": "c", "fine-grained_score": 4.5},
    ]
    ranked = one(tmp_path, {"instruction": "Do.", "completions": completions})
    assert (ranked.responses, ranked.ranks) == (["b", "c"], [1, 0])


def test_ultrafeedback_is_ranked_by_its_fine_grained_score_where_there_is_one(tmp_path: Path) -> None:
    completions = [
        {"response": "a", "overall_score": 10, "fine-grained_score": 1.25},
        {"response": "b", "overall_score": 7, "fine-grained_score": 4.0},
        {"response": "c", "overall_score": None, "fine-grained_score": None},
    ]
    ranked = one(tmp_path, {"instruction": "Do.", "completions": completions})
    assert (ranked.prompt, ranked.responses, ranked.ranks) == ("Do.", ["a", "b"], [1, 0])
    overall = [{"response": "a", "overall_score": 9}, {"response": "b", "overall_score": 7}]
    assert one(tmp_path, {"instruction": "Do.", "completions": overall}).ranks == [0, 1]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"prompt": "p", "responses": ["a", "b"]}, "no ranks: 'ranks' is missing"),
        ({"prompt": "p", "responses": ["a"], "ranks": [0]}, "one answer only"),
        ({"prompt": "p", "responses": ["a", "b", "c"], "ranks": [1, 1, 1]}, "all 3 answers are tied"),
        ({"prompt": "p", "responses": ["a", "b"], "ranks": [0]}, "2 responses, but 1 ranks"),
        ({"prompt": "p", "responses": ["a", "b"], "ranks": [0, None]}, "not a row of ranked answers"),
        ({"prompt": "p", "responses": ["a", "b"], "ranks": [0, 1], "scores": [3]}, "2 responses, but 1 scores"),
        ({"responses": ["a", "b"], "ranks": [0, 1]}, "no prompt"),
        ({"prompt": "p", "responses": ["a", "a"], "ranks": [0, 1]}, "all 2 answers are one text"),
    ],
)
def test_a_bad_row_is_named_counted_and_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], row: dict[str, Any], reason: str
) -> None:
    good = {"prompt": "p", "responses": ["a", "b"], "ranks": [0, 1]}
    path = write(tmp_path / "rows.jsonl", [good, row])
    bad = BadRows()
    assert len(read_ranked(path, bad)) == 1 and bad.n_bad == 1
    said = capsys.readouterr().err
    assert f"{path}:2: " in said and reason in said
    with pytest.raises(RowError, match=reason):
        read_ranked(path, BadRows(strict=True))


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        ({"text": "Why?", "replies": [{"text": "a", "rank": None}]}, "no ranks"),
        ({"replies": []}, "must be the root message"),
        ({"text": "Why?", "replies": [{"rank": 0}, {"rank": 1}]}, "not a tree of messages"),
        ({"message_id": "q", "text": "W", "replies": [message("a", "x", rank=1), message("b", "y", rank=1)]}, "tied"),
    ],
)
def test_a_bad_tree_is_named_counted_and_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], node: Tree, reason: str
) -> None:
    path = write(tmp_path / "t.jsonl", [tree(), {"prompt": node}])
    bad = BadRows()
    assert len(read_ranked(path, bad)) == 2 and bad.n_bad == 1
    said = capsys.readouterr().err
    assert f"{path}:2: " in said and reason in said


def test_a_file_without_rankings_is_refused_with_its_fields(tmp_path: Path) -> None:
    path = write(tmp_path / "chats.jsonl", [{"instruction": "Do.", "output": "Done."}])
    with pytest.raises(InputError, match="no ranked answers: the fields instruction, output.*judges.calibrate"):
        read_ranked(path, BadRows())


def test_a_file_with_bad_rows_alone_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", [{"prompt": "p", "responses": ["a"], "ranks": [0]}])
    with pytest.raises(InputError, match="no prompt with ranked answers: its only row is bad: "):
        read_ranked(path, BadRows())


def test_the_rows_that_a_judge_reads_carry_the_prompt_and_differ_by_answer(tmp_path: Path) -> None:
    ranked = one(tmp_path, {"id": "p1", "prompt": "p", "responses": ["a", "b"], "ranks": [0, 1]})
    rows = responses_to(ranked)
    assert [(row.prompt_id, row.prompt, row.response) for row in rows] == [("p1", "p", "a"), ("p1", "p", "b")]
    assert len({row.id for row in rows}) == 2
