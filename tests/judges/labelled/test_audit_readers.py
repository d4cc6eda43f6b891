import json
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from console.errors import InputError
from judges.labelled.columns import Columns, columns_of
from judges.labelled.labels import LabelledSet, pairs_within, sampled
from judges.labelled.ranked_files import read_ranked
from judges.labelled.readers.formats import read_labelled
from records.fields.labels import majority
from records.files import BadRows
from records.store import write_rows


def load(path: Path, columns: Columns | None = None, given: Any = None) -> LabelledSet:
    return read_labelled(path, given, columns or Columns(), BadRows(strict=True))


def written(tmp_path: Path, *rows: dict[str, Any], name: str = "set.jsonl") -> Path:
    path = tmp_path / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def labels(found: LabelledSet) -> dict[str, int]:
    return dict(Counter(pair.label for pair in found.pairs))


@pytest.mark.parametrize(
    ("file", "kind", "n", "counts"),
    [
        ("llmbar/Natural.json", "llmbar", 100, {"a": 42, "b": 58}),
        ("llmbar/Adversarial_GPTOut.json", "llmbar", 47, {"a": 22, "b": 25}),
        ("llmbar/Adversarial_Manual.json", "llmbar", 46, {"a": 22, "b": 24}),
        ("pandalm/testset-v1.json.gz", "pandalm", 999, {"a": 422, "b": 472, "tie": 105}),
        ("judgebench/gpt-4o-2024-05-13.jsonl.gz", "judgebench", 350, {"a": 193, "b": 157}),
        ("faireval", "faireval", 80, {"a": 41, "b": 25, "tie": 14}),
        ("faireval/review_gpt35_vicuna-13b_human.txt", "faireval", 80, {"a": 41, "b": 25, "tie": 14}),
        ("prometheus/hhh_alignment_eval.json.gz", "hhh", 221, None),
        ("oasst/en_100_tree.jsonl.gz", "oasst", 754, {"a": 377, "b": 377}),
    ],
)
def test_real_sets_are_recognised_and_complete(
    data: Path, file: str, kind: str, n: int, counts: dict[str, int] | None
) -> None:
    found = load(data / file)
    assert (found.format, len(found.pairs)) == (kind, n)
    assert len({pair.id for pair in found.pairs}) == n
    assert counts is None or labels(found) == counts
    assert load(data / file, given=kind) == found


def farm(prompt: str, annotator: int | str, preference: float, swapped: bool = False) -> dict[str, Any]:
    first, second = ("two", "one") if swapped else ("one", "two")
    row = {"instruction": prompt, "input": "of mine", "output_1": first, "output_2": second, "preference": preference}
    return {**row, "annotator_index": annotator, "dataset": "koala", "datasplit": "eval"}


def test_alpacafarms_votes_on_a_pair_are_combined_in_either_order(tmp_path: Path) -> None:
    rows = [farm("p", 3, 1), farm("p", 4, 2), farm("p", 5, 2, swapped=True), farm("q", 3, 2), farm("q", 4, 0)]
    found = load(written(tmp_path, *rows))
    assert found.format == "alpacafarm" and found.labeller == "humans"
    first, second = found.pairs
    assert (first.label, first.annotators) == ("a", ("a", "b", "a"))
    assert (second.label, second.annotators) == ("tie", ("b", "tie"))
    assert first.prompt == "p\n\nof mine" and (first.response_a, first.response_b) == ("one", "two")


@pytest.mark.parametrize("preference", [3, 1.7, "x", None])
def test_a_vote_that_names_no_side_is_bad(tmp_path: Path, preference: Any) -> None:
    bad = BadRows(quiet=True)
    rows = (farm("p", 3, 1), farm("p", 4, preference))
    found = read_labelled(written(tmp_path, *rows), None, Columns(), bad)
    assert bad.n_bad == 1 and found.pairs[0].annotators == ("a",)


def test_annotations_of_a_named_judge_are_no_votes_of_people(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="match no known labelled set"):
        load(written(tmp_path, farm("p", "gpt4", 1)))


def test_pandalm_keeps_all_annotators_and_answers_that_json_made_booleans(data: Path) -> None:
    found = load(data / "pandalm/testset-v1.json.gz")
    assert {len(pair.annotators) for pair in found.pairs} == {3}
    assert found.pairs[157].response_a == "True" and found.pairs[157].model_a == "bloom-7b"
    assert all(max(Counter(pair.annotators).values()) >= 2 for pair in found.pairs)  # no three-way split


def test_oasst_ranks_become_scores_and_every_pair_of_one_message(data: Path) -> None:
    found = load(data / "oasst/en_100_tree.jsonl.gz")
    assert (len(found.scores), len({item.group for item in found.scores}), found.ranks) == (641, 212, True)
    best = {item.group: item for item in found.scores if item.score == 0}
    deep = [item for item in best.values() if isinstance(item.prompt, list)]
    assert deep and all(item.prompt[-1]["role"] == "user" for item in deep if isinstance(item.prompt, list))
    first = found.pairs[0]
    assert best[first.group].response == (first.response_a if first.label == "a" else first.response_b)


def test_the_rows_that_trainer_eft_writes_give_the_pairs_and_ranks_of_their_trees(data: Path, tmp_path: Path) -> None:
    source = data / "oasst/en_100_tree.jsonl.gz"
    trees, ranked = load(source), read_ranked(source, BadRows(strict=True))
    write_rows(tmp_path / "held_out.jsonl", ranked)
    found = load(tmp_path / "held_out.jsonl")
    assert (found.format, found.ranks) == ("ranked", True)
    assert len({one.group for one in found.pairs}) == len(ranked)

    def ordered(one: LabelledSet) -> set[tuple[str, str]]:
        return {tuple((p.response_a, p.response_b)[:: 1 if p.label == "a" else -1]) for p in one.pairs}  # type: ignore[misc]

    assert ordered(found) == ordered(trees)
    assert Counter(one.score for one in found.scores) == Counter(one.score for one in trees.scores)


def test_prometheus_scores_are_the_mean_of_three_and_the_texts_are_taken_out_of_the_prompt(data: Path) -> None:
    found = load(data / "prometheus/mt_bench_eval.json.gz")
    assert (found.format, len(found.scores), found.labeller) == ("prometheus", 320, "GPT-4, asked several times")
    first = found.scores[0]
    assert first.annotators == (3.0, 2.0, 3.0) and first.score == pytest.approx(8 / 3)
    assert "###" not in first.response and first.reference and first.model == "llama2_chat_13b"
    within = pairs_within(found.scores)
    assert len(within) == 80 * 6  # four models answer each question
    scores = [item.score for item in found.scores]
    assert all((scores[one.a[0]] > scores[one.b[0]]) == (one.pair.label == "a") for one in within)


def test_autoj_counts_from_zero(tmp_path: Path) -> None:
    rows = [
        {"scenario": "x", "prompt": f"q{i}", "response 1": "one", "response 2": "two", "label": i} for i in range(3)
    ]
    found = load(written(tmp_path, *rows))
    assert (found.format, [pair.label for pair in found.pairs]) == ("autoj", ["a", "b", "tie"])
    by_query = [{("query" if key == "prompt" else key): value for key, value in row.items()} for row in rows]
    assert [pair.prompt for pair in load(written(tmp_path, *by_query)).pairs] == ["q0", "q1", "q2"]


def test_rmbench_makes_nine_pairs_a_record_with_their_levels(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        {"id": 7, "prompt": "q", "domain": "chat", "chosen": ["c0", "c1", "c2"], "rejected": ["r0", "r1", "r2"]},
    )
    found = load(path)
    assert found.format == "rmbench"
    assert Counter(pair.meta["level"] for pair in found.pairs) == {"hard": 3, "normal": 3, "easy": 3}
    hard = {frozenset((pair.response_a, pair.response_b)) for pair in found.pairs if pair.meta["level"] == "hard"}
    assert hard == {frozenset(pair) for pair in (("c0", "r1"), ("c0", "r2"), ("c1", "r2"))}
    assert all((pair.response_a if pair.label == "a" else pair.response_b)[0] == "c" for pair in found.pairs)


def test_rewardbench_sides_are_mixed_by_the_texts_and_not_by_the_order(tmp_path: Path) -> None:
    rows = [
        {"prompt": f"q{i}", "chosen": "good", "rejected": "bad", "subset": "hep-go", "chosen_model": "m", "id": i}
        for i in range(40)
    ]
    found = load(written(tmp_path, *rows))
    assert found.format == "rewardbench" and 10 < labels(found)["a"] < 30
    assert {pair.model_a if pair.label == "a" else pair.model_b for pair in found.pairs} == {"m"}
    again = {pair.id: pair.label for pair in load(written(tmp_path, *rows[::-1])).pairs}
    assert again == {pair.id: pair.label for pair in found.pairs}


def test_mtbench_votes_on_one_pair_are_put_together_in_either_order_of_the_models(tmp_path: Path) -> None:
    def vote(judge: str, a: str, b: str, winner: str, turn: int = 1) -> dict[str, Any]:
        chat = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "{}"}]
        more = [{"role": "user", "content": "q2"}, {"role": "assistant", "content": "{}2"}]

        def talk(model: str) -> list[dict[str, str]]:
            turns = chat if turn == 1 else chat + more
            return [{**message, "content": message["content"].format(model)} for message in turns]

        return {
            "question_id": 81, "model_a": a, "model_b": b, "winner": winner, "judge": judge, "turn": turn,
            "conversation_a": talk(a), "conversation_b": talk(b),
        }  # fmt: skip

    path = written(
        tmp_path,
        vote("expert_1", "x", "y", "model_a"),
        vote("expert_2", "y", "x", "model_b"),
        vote("author_0", "x", "y", "tie (inconsistent)"),
        vote("expert_1", "x", "y", "model_b", turn=2),
    )
    first, second = load(path).pairs
    assert (first.annotators, first.label) == (("a", "a", "tie"), "a")
    assert (first.prompt, first.response_a, first.response_b, first.model_a) == ("q", "x", "y", "x")
    assert second.label == "b" and second.prompt == "user: q\n\nuser: q2" and second.group == first.group
    assert second.response_a == "assistant: x\n\nuser: q2\n\nassistant: x2"


def test_fastchats_minus_one_is_no_score(tmp_path: Path) -> None:
    rows = [
        {"question_id": 1, "model": m, "judge": ["gpt-4", "single"], "score": s, "turn": 1}
        for m, s in (("x", 8), ("y", -1))
    ]
    bad = BadRows()
    found = read_labelled(written(tmp_path, *rows), None, Columns(), bad)
    assert [item.score for item in found.scores] == [8] and bad.n_bad == 1


def test_a_table_with_a_label_and_texts_under_many_names(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("question,answer_a,answer_b,human,verdict\nq,x,y,A,B\nq,x,z,tie,a\n")
    found = load(path)
    assert found.format == "pairs" and [pair.label for pair in found.pairs] == ["a", "tie"]
    assert len({pair.group for pair in found.pairs}) == 1


def test_codes_replace_what_cells_usually_mean(tmp_path: Path) -> None:
    path = written(tmp_path, *({"prompt": "q", "response_a": "x", "response_b": "y", "gold": n} for n in (0, 2)))
    assert load(path).pairs[0].label == "tie"
    path = written(tmp_path, {"prompt": "q", "response_a": "x", "response_b": "y", "gold": 0})
    with pytest.raises(InputError, match="all labels are 0,.*--codes"):
        load(path)
    assert load(path, columns_of(None, None, None, "0=a,1=b")).pairs[0].label == "a"
    with pytest.raises(InputError, match="--codes must be like"):
        columns_of(None, None, None, "0:a")


def test_an_unknown_table_is_refused_with_its_fields(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the fields colour, prompt match no known labelled set"):
        load(written(tmp_path, {"prompt": "q", "colour": "red"}))


def test_a_label_that_is_not_understood_is_a_bad_row_and_never_a_tie(tmp_path: Path) -> None:
    rows = [{"input": "q", "output_1": "x", "output_2": "y", "label": label} for label in (1, 3, None)]
    bad = BadRows()
    found = read_labelled(written(tmp_path, *rows), None, Columns(), bad)
    assert labels(found) == {"a": 1} and bad.n_bad == 2


def test_faireval_needs_a_verdict_for_every_question(tmp_path: Path) -> None:
    written(tmp_path, {"question_id": 1, "text": "q"}, name="question.jsonl")
    for model in ("m1", "m2"):
        written(tmp_path, {"question_id": 1, "text": model}, name=f"answer_{model}.jsonl")
    review = tmp_path / "review_m1_m2_human.txt"
    review.write_text("M2\n")
    assert [(p.label, p.response_b) for p in load(review).pairs] == [("b", "m2")]
    review.write_text("M2\nTIE\n")
    with pytest.raises(InputError, match="2 verdicts for 1 questions"):
        load(review)


def test_majority_and_its_ties() -> None:
    assert majority(["a", "b", "a"]) == "a"
    assert majority(["a", "b", "tie"]) == "tie"
    assert majority(["a", "b"]) == "tie"


def test_a_sample_is_seeded_keeps_the_order_and_says_what_it_is(data: Path) -> None:
    whole = load(data / "llmbar/Natural.json")
    some = sampled(whole, 8, 0)
    assert len(some.pairs) == 8 and some.drawn == "8 of 100 pairs, drawn with seed 0"
    places = [whole.pairs.index(pair) for pair in some.pairs]
    assert places == sorted(places) and sampled(whole, 8, 0) == some != sampled(whole, 8, 1)
    assert sampled(whole, 100, 0) == whole
    trees = sampled(load(data / "oasst/en_100_tree.jsonl.gz"), 5, 0)
    assert len({item.group for item in trees.scores}) == len({pair.group for pair in trees.pairs}) == 5


def test_how_often_the_longer_oasst_reply_is_ranked_better(data: Path) -> None:
    found = load(data / "oasst/en_100_tree.jsonl.gz")
    assert sum((len(p.response_b) > len(p.response_a)) == (p.label == "b") for p in found.pairs) == 526
    ranked: dict[str, list[int]] = {}
    for item in found.scores:
        ranked.setdefault(item.group, []).append(len(item.response))  # best first
    neighbours = [x > y for own in ranked.values() for x, y in pairwise(own)]
    extremes = [own[0] > own[-1] for own in ranked.values()]
    assert (sum(neighbours), len(neighbours)) == (287, 429)
    assert (sum(extremes), len(extremes)) == (170, 212)
