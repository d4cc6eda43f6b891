"""The scores of a shared fixture beside those of arena-hard-auto's own code and worked examples."""

from pathlib import Path

import pytest

from evals.arena_hard.scoring.battles import Game, Judged, score_of
from evals.arena_hard.scoring.controlled import Settings
from evals.arena_hard.scoring.scores import CategoryScores, scores_of
from evals.arena_hard.scoring.style import counts_of, markdown_of
from tests.evals.arena_hard.fixture import MODELS, scored, write_fixture

PLAIN, STYLED = MODELS

# The function print_leaderboard of arena-hard-auto's show_result.py (commit 196f6b8, numpy 2.3.5, pandas 3.1.1), on the
# folder that `write_fixture` writes, its files taken in the order of their names, each after numpy.random.seed(0): what
# format_confidence_interval is given.
OFFICIAL = {
    "hard_prompt": {
        PLAIN: (0.6328571428571429, 0.5567857142857143, 0.7),
        STYLED: (0.8598571428571428, 0.8139285714285714, 0.9142857142857143),
    },
    "creative_writing": {
        PLAIN: (0.392, 0.26666666666666666, 0.48416666666666663),
        STYLED: (0.7189285714285714, 0.5883928571428572, 0.8580357142857142),
    },
}
# count_markdown_elements(remove_pattern(...)) of its utils/add_markdown_info.py: headers, list items, bold texts
MARKDOWN = [
    ("# One\n## Two\n### Three\n#### Four\n##### Five\n###### Six\n####### Seven\n#No space", [6, 0, 0]),
    ("1. a\n2. b\n  3. nested\n- x\n* y\n+ z\n   - deep\n1) no\n12.no", [0, 7, 0]),
    ("**bold** and __also__ and ***three*** and **not\nover lines** and ** spaced **", [0, 0, 4]),
    ("```python\n# no header\n- no item\n**no bold**\n```\n# Header\n- item", [1, 1, 0]),
    ("``` ```\n# Header with spaces\n1. an item", [0, 0, 0]),  # the block's content, a space, goes everywhere
    ("```\n- item\n```\nTwice outside:\n- item\n", [0, 0, 0]),
    ("```open\n# header in an unclosed block\n", [1, 0, 0]),
    ("- **Item**: text\n- **Item**: text\n\n1. **First** __x__\n", [0, 3, 4]),
    ("#\n# \n#\tTab\n\n-\n- \n1. \n", [3, 3, 0]),
    ("\\*\\*escaped\\*\\* **a*b** __a_b__ **ü**", [0, 0, 1]),
    ("", [0, 0, 0]),
]


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, CategoryScores]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evals.arena_hard.scoring.controlled.styled_scores", lambda battles, seed: ({}, []))  # 200 fits
        return scored(write_fixture(tmp_path_factory.mktemp("arena")))


@pytest.mark.parametrize("category", OFFICIAL)
def test_the_plain_scores_are_those_of_arena_hard_auto(scores: dict[str, CategoryScores], category: str) -> None:
    for model in scores[category].models:
        assert model.score is not None
        values = (model.score.value, model.score.low, model.score.high)
        assert values == pytest.approx(OFFICIAL[category][model.model], abs=1e-12)


@pytest.mark.parametrize(("text", "counts"), MARKDOWN, ids=range(len(MARKDOWN)))
def test_markdown_is_counted_as_arena_hard_auto_counts_it(text: str, counts: list[int]) -> None:
    found = counts_of(text, None)
    assert [found.headers, found.lists, found.bold] == counts
    assert counts_of(text, {"token_len": 5, **markdown_of(text)}) == counts_of("other text", {
        "token_len": 5, "header_count": counts[0], "list_count": counts[1], "bold_count": counts[2],
    })  # fmt: skip


def test_a_null_game_takes_its_prompt_out_of_the_score_and_is_counted(scores: dict[str, CategoryScores]) -> None:
    plain, styled = scores["hard_prompt"].models
    assert (plain.n, plain.n_scored, plain.n_null, styled.n_scored, styled.n_null) == (24, 23, 1, 23, 1)
    assert plain.reasons == {"the judge's reply has no verdict": 1}
    assert styled.reasons == {"the game is null: its call failed": 1}
    assert sum(plain.verdicts.values()) == 2 * plain.n_scored


def prompt(first: str | None, second: str | None, uid: str = "1", model: str = "m") -> Judged:
    return Judged(uid, "c", "j", model, "b", (Game(first), Game(second)))


def test_much_better_weighs_three_battles_and_a_tie_is_half() -> None:
    # the model is B in the first game and A in the second: won 3 of 3, half of 1, lost 1 of 1
    assert score_of([prompt("B>>A", "A=B"), prompt("A>B", None, "2")]) == pytest.approx(3.5 / 4)
    assert score_of([prompt("A>B", "A>>B")]) == pytest.approx(3 / 4)
    assert score_of([prompt(None, "A>>B")]) is None


@pytest.mark.parametrize(
    ("first", "second", "flipped"),
    [("B>A", "A>>B", False), ("A>B", "A>B", True), ("A=B", "A=B", False), ("A=B", "A>B", True), (None, "A>B", None)],
)
def test_games_that_name_different_winners_are_flipped(first: str | None, second: str | None, flipped: object) -> None:
    assert prompt(first, second).is_flipped is flipped


def test_a_model_that_won_every_battle_has_wilsons_interval_and_no_style_control(tmp_path: Path) -> None:
    judged = [prompt("B>A", "A>B", str(n)) for n in range(8)]
    [category] = scores_of(judged, {}, Settings(resamples=50))
    [model] = category.models
    z = 1.959963984540054
    assert (model.over_prompts.value, model.over_prompts.high) == (1, 1)
    assert model.over_prompts.low == pytest.approx(8 / (8 + z * z))
    assert category.no_style == "there are no answers of b, m: give them with --answers"


def test_the_interval_over_prompts_is_wider_than_that_over_battles_of_agreeing_games() -> None:
    # Both games of a prompt say the same thrice: 6 battles that know no more than one prompt.
    judged = [prompt(*(("B>>A", "A>>B") if n % 2 else ("A>>B", "B>>A")), str(n)) for n in range(20)]
    [model] = scores_of(judged, {}, Settings(resamples=400))[0].models
    assert model.score is not None and model.over_prompts.high is not None and model.over_prompts.low is not None
    assert model.over_prompts.high - model.over_prompts.low > 2 * (model.score.high - model.score.low)


def test_one_seed_gives_one_result() -> None:
    judged = [prompt("B>A", "A>B" if n % 3 else "B>A", str(n)) for n in range(30)]
    first, again, other = (scores_of(judged, {}, Settings(resamples=20, seed=seed)) for seed in (0, 0, 1))
    assert first == again
    assert first[0].models[0].score != other[0].models[0].score
    assert first[0].models[0].over_prompts != other[0].models[0].over_prompts
