"""The packaged prompts with constraints: what their file promises."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lm_eval.tasks.ifeval.instructions_registry import INSTRUCTION_DICT

from records.files import BadRows, read_records
from trainer.prompts.seeds.reading import CONSTRAINED_PROMPTS, PROMPTS, seed_prompts


def read(path: Path) -> list[dict[str, Any]]:
    return [record for _, record in read_records(path, BadRows(strict=True))]


def constraints() -> Iterator[tuple[dict[str, Any], str, dict[str, Any]]]:
    for row in read(CONSTRAINED_PROMPTS):
        for kind, kwargs in zip(row["instruction_id_list"], row["kwargs"], strict=True):
            yield row, kind, kwargs


def test_every_row_has_an_id_and_a_text_of_its_own() -> None:
    rows = read(CONSTRAINED_PROMPTS)
    assert len(rows) >= 400
    assert len({row["id"] for row in rows}) == len({row["prompt"] for row in rows}) == len(rows)
    assert not {row["prompt"] for row in rows} & {row["prompt"] for row in read(PROMPTS)}


def test_the_kinds_are_about_equally_frequent_wherever_the_file_is_cut() -> None:
    kinds = [kind for _, kind, _ in constraints()]
    for part in (kinds[: len(kinds) // 2], kinds[len(kinds) // 2 :]):
        counts = Counter(part)
        assert len(counts) == 17 and min(counts.values()) >= 15 and max(counts.values()) <= 1.5 * min(counts.values())


def test_nothing_is_left_to_a_checker_s_random_defaults() -> None:
    for row, kind, kwargs in constraints():
        checker = INSTRUCTION_DICT[kind](kind)
        checker.build_description(**kwargs)
        used = checker.get_instruction_args() or {}
        assert {name: sorted(value) if isinstance(value, list) else value for name, value in kwargs.items()} == used, (
            row["id"]
        )


def test_the_words_that_a_checker_looks_for_stand_in_the_prompt() -> None:
    for row, kind, kwargs in constraints():
        words = [kwargs.get("end_phrase", ""), kwargs.get("keyword", ""), kwargs.get("letter", "")]
        words += kwargs.get("keywords", []) + kwargs.get("forbidden_words", [])
        assert all(word.lower() in row["prompt"].lower() for word in words), f"{row['id']}: {kind}"


def test_a_recipe_names_them_constrained() -> None:
    assert [prompt.prompt for prompt in seed_prompts(Path("constrained"))] == [
        row["prompt"] for row in read(CONSTRAINED_PROMPTS)
    ]


def test_no_prompt_is_one_of_ifeval_s(data: Path) -> None:
    theirs = {row["prompt"] for row in read(data / "ifeval" / "input_data.jsonl")}
    assert not theirs & {row["prompt"] for row in read(CONSTRAINED_PROMPTS)}
