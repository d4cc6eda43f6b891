import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenize import tokenize

from records import text_of
from records.files import BadRows
from records.shapes import read_prompts
from trainer.prompts.contamination import EvaluationPrompts
from trainer.prompts.rouge import RougeIndex, rouge_l, tokens_of

SCORER = RougeScorer(["rougeL"])
TEXTS = st.one_of(
    st.text(max_size=40),
    st.lists(st.sampled_from(["a", "the", "Cat", "sat.", "on", "ÉTÉ", "x2", "don't", "İ", "—"]), max_size=14).map(
        " ".join
    ),
)


def peer(first: str, second: str) -> float:
    return float(SCORER.score(first, second)["rougeL"].fmeasure)


@settings(deadline=None)
@given(st.text())
def test_tokens_are_those_of_rouge_score(text: str) -> None:
    assert tokens_of(text) == tokenize(text, None)


@settings(deadline=None)
@given(TEXTS, TEXTS)
def test_rouge_l_is_that_of_rouge_score(first: str, second: str) -> None:
    assert rouge_l(first, second) == pytest.approx(peer(first, second), abs=1e-12)


def test_rouge_l_of_a_pair_worked_out_by_hand() -> None:
    # Lin (2004), section 3.1: three and two of four words are in common in their order
    assert rouge_l("police killed the gunman", "police kill the gunman") == 0.75
    assert rouge_l("police killed the gunman", "the gunman kill police") == 0.5
    assert rouge_l("", "police") == rouge_l("!?", "?!") == 0.0


@settings(deadline=None)
@given(st.lists(TEXTS, max_size=12), TEXTS, st.sampled_from([0.3, 0.5, 0.7, 0.9, 1.0]))
def test_the_index_finds_what_comparing_with_each_text_finds(pool: list[str], text: str, threshold: float) -> None:
    scores = [peer(other, text) for other in pool]
    best = max(scores, default=0.0)
    found = RougeIndex(threshold, pool).nearest(text)
    if best < threshold - 1e-9 or best == 0:
        assert found is None
    else:
        assert found is not None and found.score == pytest.approx(best, abs=1e-12)
        assert found.position == next(i for i, score in enumerate(scores) if score > best - 1e-9), "the first of equals"


def test_seven_tokens_of_ten_are_enough_whatever_rounding_says() -> None:
    index = RougeIndex(0.7, ["a b c d e f g h i j"])
    assert index.nearest("a b c d e f g x y z") is not None
    assert index.nearest("a b c d e f w x y z") is None


def test_the_order_of_words_counts_and_repeated_words_count_once_each() -> None:
    index = RougeIndex(0.7, ["one two three four", "go go go go stop"])
    assert index.nearest("four three two one") is None
    assert index.nearest("go stop stop stop stop") is None


def test_unknown_words_are_unlike_each_other_and_unlike_all() -> None:
    assert RougeIndex(0.5, ["a b"]).nearest("c d e a") is None
    assert RougeIndex(0.5).nearest("a b") is None


def test_real_instructions_have_the_same_near_duplicates_as_by_rouge_score(data: Path) -> None:
    seeds = [text_of(p.prompt) for p in read_prompts(data / "self-instruct/seed_tasks.jsonl", BadRows())]
    draw, pool = random.Random(0), seeds[:60]
    changed = [" ".join(w for w in text.split() if draw.random() > 0.3) or text for text in pool[:20]]
    index, n_found = RougeIndex(0.7, pool), 0
    for text in changed:
        scores = [peer(other, text) for other in pool]
        found = index.nearest(text)
        assert (found is not None) == (max(scores) >= 0.7 - 1e-9)
        if found:
            assert scores[found.position] == max(scores)
            n_found += 1
    assert 5 < n_found < 20, "both cases must occur"


THIRTEEN = "one two three four five six seven eight nine ten eleven twelve thirteen"


@pytest.mark.parametrize(
    ("text", "how"),
    [
        ("name  THE capital of france", "the same text"),
        ("Name the capital city of France!", "ROUGE-L 0.91"),
        (f"Begin here: {THIRTEEN}, and go on with words that nobody else has in his list.", "13 words in a row"),
        ("Name the longest river of Asia.", None),
        (f"{THIRTEEN.removesuffix(' thirteen')} but then so many other words follow that the rest differs", None),
    ],
)  # fmt: skip
def test_evaluation_prompts_are_found_however_they_are_dressed(text: str, how: str | None) -> None:
    prompts = ["Name the capital of France.", f"Say {THIRTEEN} " + "and a lot of other things that come after it " * 3]
    found = EvaluationPrompts(prompts, 0.7).found_in(text)
    assert (found and found[0]) == how
