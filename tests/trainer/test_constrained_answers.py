"""The packaged answers to prompts with constraints: what a checker finds in them, against what their scores say."""

from collections import Counter
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from judges.rubrics.rubric import load_rubric
from judges.tools.constraints.checking import check_constraints, check_settings
from records.files import BadRows, read_records
from records.shapes import prompt_of
from trainer.prompts.seeds.reading import (
    CONSTRAINED,
    CONSTRAINED_EFT,
    CONSTRAINED_IFT,
    CONSTRAINED_PROMPTS,
    EFT,
    IFT,
    PROMPTS,
    eft_chats,
    ift_chats,
)


def read(path: Path) -> list[dict[str, Any]]:
    return [record for _, record in read_records(path, BadRows(strict=True))]


IFT_ROWS, EFT_ROWS = read(CONSTRAINED_IFT), read(CONSTRAINED_EFT)


def follows(row: dict[str, Any], response: str) -> bool:
    """Return whether the response follows every constraint of the row, and fail if one cannot be checked."""
    constraints = prompt_of(row).constraints
    assert constraints
    checked = check_constraints(row["prompt"], response, constraints)
    assert all(constraint.strict for constraint in checked), row["id"]
    return all(constraint.strict == "followed" for constraint in checked)


def best(row: dict[str, Any]) -> float:
    return float(max(row["scores"]))


@pytest.mark.parametrize("row", IFT_ROWS, ids=lambda row: str(row["id"]))
def test_an_answer_to_imitate_follows_every_constraint_and_is_short(row: dict[str, Any]) -> None:
    assert follows(row, row["response"])
    assert 7 <= len(row["response"].split()) <= 35


@pytest.mark.parametrize("row", EFT_ROWS, ids=lambda row: str(row["id"]))
def test_a_checker_agrees_with_the_scores(row: dict[str, Any]) -> None:
    outcomes = [follows(row, response) for response in row["responses"]]
    kept = [score for score, followed in zip(row["scores"], outcomes, strict=True) if followed]
    broken = [score for score, followed in zip(row["scores"], outcomes, strict=True) if not followed]
    assert max(kept) == best(row) and max(broken) <= best(row) - 2
    assert min(kept) >= max(broken)


def test_the_ranks_are_those_of_the_scores() -> None:
    for row in EFT_ROWS:
        levels = sorted(set(row["scores"]), reverse=True)
        assert row["ranks"] == [levels.index(score) for score in row["scores"]], row["id"]


def test_neither_length_nor_place_tells_the_score() -> None:
    lengths: dict[str, list[int]] = {"best": [], "worst": []}
    places: Counter[int] = Counter()
    for row in EFT_ROWS:
        n_words = {score: len(text.split()) for score, text in zip(row["scores"], row["responses"], strict=True)}
        lengths["best"].append(n_words[best(row)])
        lengths["worst"].append(n_words[min(row["scores"])])
        places[row["scores"].index(best(row))] += 1
    assert fmean(lengths["best"]) == pytest.approx(fmean(lengths["worst"]), abs=1)
    assert min(places[place] for place in range(4)) > len(EFT_ROWS) / 6


def test_every_score_of_the_scale_occurs() -> None:
    assert {score for row in EFT_ROWS for score in row["scores"]} == {0, 1, 2, 3, 4, 5}


@pytest.mark.parametrize(("rows", "least"), [(IFT_ROWS, 10), (EFT_ROWS, 3)], ids=["ift", "eft"])
def test_each_of_the_seeds_kinds_occurs_and_no_other_does(rows: list[dict[str, Any]], least: int) -> None:
    kinds = Counter(kind for row in rows for kind in row["instruction_id_list"])
    assert set(kinds) == {kind for row in read(CONSTRAINED_PROMPTS) for kind in row["instruction_id_list"]}
    assert min(kinds.values()) >= least
    assert not check_settings([prompt_of(row).constraints or [] for row in rows])


def test_no_two_seeds_share_a_prompt(data: Path) -> None:
    files = [PROMPTS, IFT, EFT, CONSTRAINED_PROMPTS, CONSTRAINED_IFT, CONSTRAINED_EFT]
    texts = [row["prompt"] for path in [*files, data / "ifeval" / "input_data.jsonl"] for row in read(path)]
    assert not [text for text, n in Counter(texts).items() if n > 1 and text in {row["prompt"] for row in EFT_ROWS}]
    assert not [text for text, n in Counter(texts).items() if n > 1 and text in {row["prompt"] for row in IFT_ROWS}]


def test_a_recipe_names_them_constrained() -> None:
    assert [chat[-1]["content"] for chat in ift_chats(CONSTRAINED)] == [row["response"] for row in IFT_ROWS]
    replies = [chat[-1]["content"] for chat in eft_chats(CONSTRAINED, load_rubric("constraints"), "logprobs")]
    assert replies == [f"Score: {score}" for row in EFT_ROWS for score in row["scores"]]
