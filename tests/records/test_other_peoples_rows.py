"""Rows as people's data sets have them: each means one thing in every command, or is bad for a reason that it names."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from console.errors import InputError
from records.fields.messages import rendered_in
from records.files import BadRows
from records.rated import rated_of
from records.rows import messages_of
from records.shapes import chats_of, pairs_of, prompt_of, read_pairs, responses_of
from tests.records.fields.test_preferences import mutants
from tests.records.other_peoples_rows import (
    CHATS,
    FIRST,
    NECTAR,
    NONE,
    PAIRS,
    PROMPTS,
    RESPONSES,
    SECOND,
    TIES,
    ULTRA,
    Bad,
    two,
)

ALL = {
    f"{kind}: {name}": case
    for kind, table in (("pair", PAIRS), ("response", RESPONSES), ("chat", CHATS), ("prompt", PROMPTS))
    for name, case in table.items()
}
ROLES = {"s": "system", "u": "user", "a": "assistant", "t": "tool"}
Case = tuple[dict[str, Any], Any]


def messages(text: str) -> list[dict[str, str]]:
    return [{"role": ROLES[turn[0]], "content": turn[2:]} for turn in text.split("|")]


def check(reading: Callable[[dict[str, Any]], object], case: Case, right: Callable[[Any], Any]) -> None:
    record, meant = case
    if not isinstance(meant, Bad):
        assert reading(record) == right(meant)
        return
    with pytest.raises(InputError, match=re.escape(meant)):
        reading(record)


@pytest.mark.parametrize("name", PAIRS)
def test_a_record_that_names_a_preference_gives_that_pair(name: str) -> None:
    def reading(record: dict[str, Any]) -> object:
        return [(pair.prompt, pair.chosen[0]["content"], pair.rejected[0]["content"]) for pair in pairs_of(record)]

    check(reading, PAIRS[name], lambda pairs: [(messages(prompt), *texts) for prompt, *texts in pairs])


@pytest.mark.parametrize("name", RESPONSES)
def test_a_response_is_judged_after_all_that_stood_before_it(name: str) -> None:
    def reading(record: dict[str, Any]) -> object:
        return [(messages_of(row.prompt), row.response) for row in responses_of(record)]

    check(reading, RESPONSES[name], lambda rows: [(messages(prompt), text) for prompt, text in rows])


@pytest.mark.parametrize("name", CHATS)
def test_only_what_is_to_be_learnt_is_learnt(name: str) -> None:
    check(chats_of, CHATS[name], lambda chats: [messages(chat) for chat in chats])


@pytest.mark.parametrize("name", PROMPTS)
def test_a_prompt_is_the_same_whether_its_answer_is_read_or_not(name: str) -> None:
    check(lambda record: messages_of(prompt_of(record).prompt), PROMPTS[name], messages)


@pytest.mark.parametrize("name", ALL)
def test_a_damaged_record_is_read_or_a_bad_row(name: str) -> None:
    for mutant in mutants(ALL[name][0]):
        for reading in (prompt_of, responses_of, pairs_of, chats_of, rated_of):
            try:
                found = reading(mutant)
            except InputError as error:
                assert str(error) and "\n" not in str(error)
            else:
                assert msgspec.json.encode(found)


def test_no_reading_of_a_pair_contradicts_another() -> None:
    for name, (record, meant) in PAIRS.items():
        if isinstance(meant, Bad) or not meant:
            continue
        texts = {row.response for row in responses_of(record)}
        assert all({chosen, rejected} <= texts for _, chosen, rejected in meant), name
        assert {messages_of(row.prompt)[-1]["content"] for row in responses_of(record)} == {
            messages(meant[0][0])[-1]["content"]
        }, name
        assert [chat[-1]["content"] for chat in chats_of(record)] == [meant[0][1]], name
        assert messages_of(prompt_of(record).prompt) == messages(meant[0][0]), name


@pytest.mark.parametrize(
    ("labels", "chosen"), [(FIRST, ["A"]), (SECOND, ["B"]), (TIES, [])], ids=["first", "second", "tie"]
)
def test_a_label_is_read_however_it_is_spelled(labels: tuple[object, ...], chosen: list[str]) -> None:
    for label in labels:
        assert [pair.chosen[0]["content"] for pair in pairs_of(two(label))] == chosen, label


@pytest.mark.parametrize("label", NONE)
def test_what_is_no_label_is_never_a_side(label: object) -> None:
    with pytest.raises(InputError, match="is no label"):
        pairs_of(two(label))


def test_scores_of_ranked_answers_go_with_the_pair_and_ranks_do_not() -> None:
    [pair] = pairs_of(ULTRA)
    assert (pair.chosen_score, pair.rejected_score) == (4.75, 1.0)
    assert [row.model for row in responses_of(ULTRA)] == ["m1", "m2", "m3"]
    [pair] = pairs_of(NECTAR)
    assert (pair.chosen_score, pair.rejected_score) == (None, None)


def test_the_turns_of_an_nvidia_prompt_are_seen_as_a_rendered_template() -> None:
    assert rendered_in(["hi\n<extra_id_1>Assistant\nhello\n<extra_id_1>User\nQ"])


def test_pandalms_test_set_gives_its_majorities(data: Path) -> None:
    bad = BadRows(quiet=True)
    pairs = list(read_pairs(data / "pandalm/testset-v1.json.gz", bad))
    assert (len(pairs), bad.n_bad) == (842, 52)  # 105 ties; in 52 rows an answer is empty
