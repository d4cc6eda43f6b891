from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from console.command import parse
from console.errors import InputError
from judges.parse import parse_reply
from judges.rubric import load_rubric
from records import Prompt
from records.files import BadRows, read_records
from tests.conftest import ROOT
from trainer.recipe import CandidateOptions, Config, EvalOptions, check
from trainer.seeds import EFT, eft_chats, ift_chats, seed_prompts
from trainer.splits import split_prompts

PROMPTS = [Prompt(id=str(number), prompt=f"prompt {number}") for number in range(30)]
SMALL = Config(candidates=CandidateOptions(prompts=8), eval=EvalOptions(prompts=6))


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("*.toml")), ids=lambda path: path.stem)
def test_every_recipe_is_valid(path: Path) -> None:
    check(parse(Config, ["--config", str(path)], "loop"))


def test_splits_are_disjoint_and_depend_on_the_seed_only() -> None:
    split = split_prompts(PROMPTS, SMALL)
    ids = [prompt.id for part in [split.held_out, *split.rounds.values()] for prompt in part]
    assert len(ids) == len(set(ids)) == 22 and sorted(split.rounds) == [2, 3]
    assert split_prompts(PROMPTS, SMALL) == split != split_prompts(PROMPTS, replace(SMALL, seed=1))


def test_one_more_round_leaves_the_earlier_splits_as_they_are() -> None:
    split, longer = split_prompts(PROMPTS, SMALL), split_prompts(PROMPTS, replace(SMALL, iterations=4))
    assert (
        longer.held_out == split.held_out
        and longer.rounds[2] == split.rounds[2]
        and longer.rounds[3] == split.rounds[3]
    )


def test_too_few_prompts_are_refused_with_the_numbers() -> None:
    with pytest.raises(InputError, match="21 different prompts, but 2 rounds of 8 and 6 held out need 22"):
        split_prompts(PROMPTS[:21], SMALL)


@pytest.mark.parametrize(
    "config",
    [
        Config(iterations=0),
        Config(candidates=CandidateOptions(n=1)),
        Config(candidates=CandidateOptions(prompts=0)),
        Config(eval=EvalOptions(judge=4)),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(config: Config) -> None:
    with pytest.raises(InputError):
        check(config)


def test_the_seeds_are_as_many_and_as_varied_as_they_say() -> None:
    prompts, ift = seed_prompts(None), ift_chats(None)
    assert len(prompts) == 64 and len(ift) == 48
    assert len({prompt.source for prompt in prompts}) == 16
    texts = [str(prompt.prompt) for prompt in prompts] + [chat[0]["content"] for chat in ift]
    assert len(set(texts)) == 112
    rows = [record for _, record in read_records(EFT, BadRows(strict=True))]
    scores = Counter(score for row in rows for score in row["scores"])
    assert len(rows) == 24 and sorted(scores) == [0, 1, 2, 3, 4, 5] and max(scores.values()) <= 18
    for row in rows:
        order = sorted(range(3), key=lambda index: row["ranks"][index])
        assert row["scores"][order[0]] > row["scores"][order[1]] > row["scores"][order[2]]


def test_what_the_judge_learns_is_what_it_will_be_asked_and_parses_to_the_score() -> None:
    rubric = load_rubric("additive")
    for read in ("text", "logprobs"):
        chats = list(eft_chats(None, rubric, read))
        assert len(chats) == 72
        assert all(parse_reply(chat[-1]["content"], rubric).value is not None for chat in chats)
    short, long = (next(iter(eft_chats(None, rubric, read))) for read in ("logprobs", "text"))
    assert short[-1]["content"].startswith("Score: ") and len(long[-1]["content"]) > len(short[-1]["content"])


def test_ranked_answers_without_scores_are_refused_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "eft.jsonl"
    path.write_text('{"prompt": "Q", "responses": ["a"], "ranks": [0]}\n')
    with pytest.raises(InputError, match=r"eft\.jsonl:1: not a row of ranked answers.*scores"):
        list(eft_chats(path, load_rubric("additive"), "text"))
