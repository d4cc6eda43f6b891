"""Prompts with constraints of kinds that no seed has: nothing that is learnt may show in them."""

from collections import Counter
from pathlib import Path
from typing import Any

from lm_eval.tasks.ifeval.instructions_registry import INSTRUCTION_DICT

import experiments.instruction_following
from records.files import BadRows, read_records
from trainer.prompts.seeds.reading import CONSTRAINED_PROMPTS

UNSEEN = Path(experiments.instruction_following.__path__[0]) / "unseen_kinds.jsonl"


def read(path: Path) -> list[dict[str, Any]]:
    return [record for _, record in read_records(path, BadRows(strict=True))]


def kinds(path: Path) -> Counter[str]:
    return Counter(kind for row in read(path) for kind in row["instruction_id_list"])


def test_no_kind_is_in_the_seeds_and_each_is_there_often_enough() -> None:
    unseen = kinds(UNSEEN)
    assert not unseen.keys() & kinds(CONSTRAINED_PROMPTS).keys()
    assert len(unseen) == 6 and min(unseen.values()) >= 12


def test_no_prompt_is_a_seed_or_stands_there_twice() -> None:
    rows = read(UNSEEN)
    texts = {row["prompt"] for row in rows}
    assert len({row["id"] for row in rows}) == len(texts) == len(rows)
    assert not texts & {row["prompt"] for row in read(CONSTRAINED_PROMPTS)}


def test_the_checkers_are_told_all_that_they_need() -> None:
    for row in read(UNSEEN):
        for kind, kwargs in zip(row["instruction_id_list"], row["kwargs"], strict=True):
            checker = INSTRUCTION_DICT[kind](kind)
            checker.build_description(**kwargs)
            assert (checker.get_instruction_args() or {}) == kwargs, row["id"]


def test_what_must_be_repeated_stands_in_the_prompt() -> None:
    repeats = [
        kwargs["prompt_to_repeat"] in row["prompt"]
        for row in read(UNSEEN)
        for kwargs in row["kwargs"]
        if "prompt_to_repeat" in kwargs
    ]
    assert len(repeats) >= 12 and all(repeats)
