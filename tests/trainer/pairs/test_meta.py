from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from console.errors import InputError
from engines.protocol import Request
from engines.scripted import ScriptedEngine
from judges.judging.judge import Judge
from judges.rubrics.rubric import load_rubric
from records import Comparison, Judgment, Pair, Store, Usage
from tests.fences import plain
from trainer.pairs.meta import MetaCounts, first_place_weight, meta_pairs, mixed, wins
from trainer.pairs.options import MetaOptions

ADDITIVE, META = load_rubric("additive"), load_rubric("meta_judge")


def judgment(prompt: str, response: str, replies: list[str], read: str = "text") -> Judgment:
    scores = [float(reply[-1]) if reply[-1].isdigit() else None for reply in replies]
    known = [score for score in scores if score is not None]
    return Judgment(
        id=response, response_id=response, prompt_id=prompt, prompt=f"{prompt}?", response=response, model="m",
        score=sum(known) / len(known) if known else None, scores=scores, replies=replies, error=None, spread=None,
        rubric="additive", judge="fp", usage=Usage(), read=read, finish_reasons=["stop"] * len(replies),
    )  # fmt: skip


def shown(request: Request, side: str) -> str:
    text = plain(request.messages[0]["content"])
    return text.split(f"<judgement_{side}>\n")[1].split(f"\n</judgement_{side}>")[0]


def meta_judge(prefer: Callable[[str, str], str]) -> Judge:
    """A meta-judge that says `prefer(judgement a, judgement b)`: A, B, tie or nonsense."""
    engine = ScriptedEngine(reply=lambda request: f"Better: {prefer(shown(request, 'a'), shown(request, 'b'))}")
    return Judge(engine, META, "text", samples=1)


def reasoned(a: str, b: str) -> str:
    return "A" if a.count("because") > b.count("because") else "B" if a.count("because") < b.count("because") else "tie"


def run(
    tmp_path: Path, rows: list[Judgment], judge: Judge, options: MetaOptions | None = None
) -> tuple[list[Pair], MetaCounts]:
    with Store(tmp_path / "meta.jsonl", Comparison) as store:
        return meta_pairs(rows, ADDITIVE, judge, store, options or MetaOptions())


GOOD, FAIR, POOR = "because, because. Score: 2", "because. Score: 3", "No reasons. Score: 4"


def test_the_strongest_judgment_is_chosen_against_the_weakest(tmp_path: Path) -> None:
    [pair], counts = run(tmp_path, [judgment("p", "An answer.", [FAIR, POOR, GOOD])], meta_judge(reasoned))
    assert (pair.chosen[0]["content"], pair.rejected[0]["content"]) == (GOOD, POOR)
    assert pair.margin is not None and pair.margin > 0 and pair.judge == meta_judge(reasoned).fingerprint
    assert (counts.n_prompts, counts.n_pairs, counts.score_drift) == (1, 1, -2.0)


def test_the_prompt_of_a_pair_is_what_the_judge_was_asked(tmp_path: Path) -> None:
    from records import Response

    [pair], _ = run(tmp_path, [judgment("p", "An </response> answer.", [GOOD, POOR])], meta_judge(reasoned))
    response = Response(id="r", prompt_id="p", prompt="p?", response="An </response> answer.", model="m")
    assert pair.prompt == Judge(ScriptedEngine(), ADDITIVE, "text").request(response).messages


def test_the_answer_whose_score_varies_most_is_taken(tmp_path: Path) -> None:
    rows = [
        judgment("p", "steady", ["because. Score: 3", "Score: 3"]),
        judgment("p", "varied", ["because. Score: 1", "Score: 5"]),
        judgment("p", "unparsed", ["because. Score: 0", "no verdict"]),
    ]
    judge = meta_judge(reasoned)
    [pair], _ = run(tmp_path, rows, judge)
    assert "varied" in pair.prompt[0]["content"] and pair.chosen[0]["content"] == "because. Score: 1"
    assert len(judge.engine.asked) == 2  # type: ignore[attr-defined]


def test_every_prompt_is_counted_once(tmp_path: Path) -> None:
    rows = [
        judgment("pair", "a", [GOOD, POOR]),
        judgment("one verdict", "b", [GOOD, "no verdict"]),
        judgment("one reply twice", "c", [GOOD, GOOD]),
        judgment("tie", "d", ["because x. Score: 1", "because y. Score: 2"]),
        judgment("nonsense", "e", ["?. Score: 1", "?! Score: 2"]),
        judgment("long", "f", [GOOD, "because. " * 99 + "Score: 3"]),
    ]
    judge = meta_judge(lambda a, b: "neither of these" if "?" in a else reasoned(a, b))
    pairs, counts = run(tmp_path, rows, judge, MetaOptions(max_chars=200))
    assert [pair.prompt_id for pair in pairs] == ["pair"]
    assert (counts.n_prompts, counts.n_pairs, counts.n_too_few, counts.n_unjudged, counts.n_tied) == (6, 1, 3, 1, 1)
    assert counts.n_long == 1


def test_a_stopped_call_asks_nothing_twice(tmp_path: Path) -> None:
    rows = [judgment("p", "a", [GOOD, FAIR, POOR])]
    first = run(tmp_path, rows, meta_judge(reasoned))
    again = meta_judge(reasoned)
    assert run(tmp_path, rows, again) == first and again.engine.asked == []  # type: ignore[attr-defined]


def test_judgments_without_text_or_by_another_rubric_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="have no text to compare"):
        run(tmp_path, [judgment("p", "a", [GOOD, POOR], read="logprobs")], meta_judge(reasoned))
    with pytest.raises(InputError, match="does not compare judgments"):
        run(tmp_path, [], Judge(ScriptedEngine(), load_rubric("pairwise"), "text"))
    with (
        Store(tmp_path / "other.jsonl", Comparison) as store,
        pytest.raises(InputError, match="are not by 'single_10'"),
    ):
        rows = [judgment("p", "a", [GOOD, POOR])]
        meta_pairs(rows, load_rubric("single_10"), meta_judge(reasoned), store, MetaOptions())


def compared(a: str, b: str, first: str | None, second: str | None) -> Comparison:
    return Comparison(
        id=f"{a}{b}", prompt_id="p", prompt="p?", response_a=a, response_b=b, model_a="a", model_b="b", winner=None,
        first_order=first, second_order=second, flipped=None, preference_b=None, replies=[], error=None,  # type: ignore[arg-type]
        rubric="meta_judge", judge="fp", usage=Usage(),
    )  # fmt: skip


def test_a_win_in_the_favoured_place_is_worth_less() -> None:
    # Shown first, x beats y; shown second, y stands first and wins; z beats y from both places.
    rows = [compared("x", "y", "a", "b"), compared("y", "z", "b", "b")]
    assert first_place_weight(rows) == 1 / 4  # three wins in the first place, one in the second
    expected = np.zeros((3, 3))
    expected[0, 1], expected[1, 0], expected[2, 1] = 0.25, 0.25, 1.0
    assert np.array_equal(wins("xyz", rows, 0.25), expected)


def test_ties_and_silence() -> None:
    assert first_place_weight([compared("x", "y", "tie", None)]) == 0.5
    assert wins("xy", [compared("x", "y", "tie", None)], 0.9).tolist() == [[0, 0.25], [0.25, 0]]


def test_pairs_of_judgments_are_at_most_their_share() -> None:
    one = Pair(prompt=[], chosen=[], rejected=[], prompt_id="p")
    meta = [Pair(prompt=[], chosen=[], rejected=[], prompt_id=f"m{n}") for n in range(50)]
    together = mixed([one] * 85, meta, 0.15, seed=1)
    drawn = {pair.prompt_id for pair in together[85:]}
    assert len(together) == 100 and len(drawn) == 15
    assert {pair.prompt_id for pair in mixed([one] * 85, meta[::-1], 0.15, seed=1)[85:]} == drawn
    assert {pair.prompt_id for pair in mixed([one] * 85, meta, 0.15, seed=2)[85:]} != drawn
    assert len(mixed([one] * 85, meta[:3], 0.15, seed=1)) == 88 and mixed([one], meta, 0.0, seed=1) == [one]
    with pytest.raises(InputError, match="max_share"):
        mixed([one], meta, 1.0, seed=1)


def test_answers_of_two_prompts_that_share_an_id_are_meta_judged_apart(tmp_path: Path) -> None:
    from msgspec.structs import replace

    rows = [judgment("p", text, [FAIR, POOR, GOOD]) for text in ("An answer.", "Another one.")]
    rows = [replace(row, response_id="q1", prompt=f"{row.response}?") for row in rows]
    pairs, counts = run(tmp_path, rows, meta_judge(reasoned))
    assert (counts.n_prompts, counts.n_pairs) == (2, 2)
    assert [pair.chosen[0]["content"] for pair in pairs] == [GOOD, GOOD]
    assert [text in str(pair.prompt) for text, pair in zip(("An answer.", "Another one."), pairs, strict=True)] == [
        True
    ] * 2
