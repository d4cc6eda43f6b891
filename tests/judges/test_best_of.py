import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from console.command import parse
from console.errors import EngineError, InputError, JudgeError
from engines.protocol import Request
from engines.scripted import ScriptedEngine
from judges.best_of.__main__ import Config, main
from judges.best_of.best import best_of
from records import Judgment, Response, Usage, answer_key, read_rows
from records.store import write_rows
from tests.judges.opened import patch_open_engine

SCORES: dict[str, list[float | None]] = {"p": [0.5, 2.0, 1.0], "q": [None, -1.0, None], "z": [None, None]}


def response(prompt: str, number: int) -> Response:
    text = f"answer {number} to {prompt}"
    return Response(id=f"{prompt}{number}", prompt_id=prompt, prompt=prompt, response=text, model="m")


def judgment(one: Response, score: float | None, judge: str = "j") -> Judgment:
    return Judgment(
        id=f"{one.id} judged", response_id=one.id, prompt_id=one.prompt_id, prompt=one.prompt, response=one.response,
        model=one.model, score=score, scores=[score], replies=[], error=None if score is not None else "why not",
        spread=None, rubric="additive", judge=judge, usage=Usage(),
    )  # fmt: skip


RESPONSES = [response(prompt, number) for number in range(3) for prompt in SCORES if number < len(SCORES[prompt])]
BY_KEY = {answer_key(one): SCORES[one.prompt_id][int(one.id[1:])] for one in RESPONSES}


def asked(folder: Path, *argv: str) -> list[Response]:
    main(parse(Config, [*argv, "--out", str(folder / "best.jsonl"), "--json"], "best_of"))
    return list(read_rows(folder / "best.jsonl", Response))


def test_the_answer_with_the_highest_score_is_kept_and_a_missing_score_is_none() -> None:
    best = best_of(RESPONSES, BY_KEY, seed=0)
    assert [one.id for one in best.responses] == ["p1", "q1"] and best.left_out == ["z"]
    assert (best.n_responses, best.n_unscored, best.mean_best) == (8, 4, 0.5)
    assert best.mean_all == pytest.approx(((0.5 + 2.0 + 1.0) / 3 - 1.0) / 2)


def test_of_equal_scores_a_seeded_hash_decides_and_not_the_order() -> None:
    equal = dict.fromkeys(BY_KEY, 1.0)
    chosen = {seed: [one.id for one in best_of(RESPONSES, equal, seed).responses] for seed in range(20)}
    for seed, ids in chosen.items():
        assert sorted(ids) == sorted(one.id for one in best_of(RESPONSES[::-1], equal, seed).responses)
    assert {ids[0] for ids in chosen.values()} == {"p0", "p1", "p2"}


def test_stored_scores_are_taken_and_no_model_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    patch_open_engine(monkeypatch, lambda options: pytest.fail("no model is to be asked"))
    path = tmp_path / "judgments.jsonl"
    write_rows(path, [judgment(one, BY_KEY[answer_key(one)]) for one in RESPONSES])
    kept = asked(tmp_path, str(path))
    out, err = capsys.readouterr()
    [row] = json.loads(out)
    assert [(one.id, one.prompt_id, one.response, one.model) for one in kept] == [
        ("p1", "p", "answer 1 to p", "m"),
        ("q1", "q", "answer 1 to q", "m"),
    ]
    assert (row["prompts"], row["answers"], row["unscored"], row["left out"], row["scored by"]) == (3, 8, 4, 1, "j")
    assert "left out: prompt z: none of its answers has a score" in err


@pytest.mark.parametrize(("limit", "ids"), [("1", ["p1"]), ("2", ["p1", "q1"]), ("9", ["p1", "q1"])])
def test_a_limit_takes_the_first_prompts_with_all_their_answers(tmp_path: Path, limit: str, ids: list[str]) -> None:
    path = tmp_path / "judgments.jsonl"
    write_rows(path, [judgment(one, BY_KEY[answer_key(one)]) for one in RESPONSES])  # the prompts take turns
    assert [one.id for one in asked(tmp_path, str(path), "--limit", limit)] == ids


def test_what_a_limited_run_asked_is_not_asked_again_without_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = ScriptedEngine(reply=lambda _: "Score: 1")
    patch_open_engine(monkeypatch, lambda options: engine)
    path = tmp_path / "responses.jsonl"
    write_rows(path, RESPONSES)
    argv = (str(path), "--read", "text", "--samples", "1")
    for limit, n_prompts, n_asked in (("1", 1, 3), ("2", 2, 6), ("3", 3, 8), ("1", 1, 8)):
        assert len(asked(tmp_path, *argv, "--limit", limit)) == n_prompts and len(engine.asked) == n_asked
    assert len(asked(tmp_path, *argv)) == 3 and len(engine.asked) == 8


def test_rows_on_disk_give_the_best_of_rows_in_memory(tmp_path: Path) -> None:
    answers = [response(prompt, number) for number in range(4) for prompt in "abcde"]
    scores = {one.id: None if n % 7 == 0 else float(n * n % 5) for n, one in enumerate(answers)}
    path = tmp_path / "judgments.jsonl"
    first = [judgment(one, 9.0) for one in answers[::3]]  # judged again further down: the last score counts
    write_rows(path, [*first, *(judgment(one, scores[one.id]) for one in answers)])
    in_order = list({answer_key(one): one for one in [*answers[::3], *answers]}.values())
    last = dict.fromkeys((one.id for one in answers[::3]), 9.0) | {key: x for key, x in scores.items() if x is not None}
    expected = best_of(in_order, {answer_key(one): last.get(one.id) for one in answers}, seed=0)
    assert asked(tmp_path, str(path)) == expected.responses and len(expected.responses) == 5


def plain_rows(path: Path, *rows: tuple[str, float | None]) -> Path:
    path.write_text("".join(json.dumps({"prompt": "p", "response": text, "score": x}) + "\n" for text, x in rows))
    return path


@pytest.mark.parametrize("is_reversed", [False, True])
@pytest.mark.parametrize(
    ("rows", "best"),
    [
        ([("A", 7.0), ("B", 3.0), ("A", 2.0)], "A"),  # 4.5 against 3
        ([("A", 7.0), ("B", 5.0), ("A", 2.0)], "B"),  # 4.5 against 5
        ([("A", 7.0), ("B", 3.0), ("A", None)], "A"),
        ([("A", 1e99), ("B", 1.0), ("A", -1e99)], "B"),
    ],
)
def test_several_scores_of_an_answer_are_votes_in_any_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str],
    rows: list[tuple[str, float | None]], best: str, is_reversed: bool,
) -> None:  # fmt: skip
    path = plain_rows(tmp_path / "votes.jsonl", *(rows[::-1] if is_reversed else rows))
    assert [one.response for one in asked(tmp_path, str(path))] == [best]
    differ = sum(score is not None for text, score in rows if text == "A") > 1
    assert ("give an answer another score than a row before" in capsys.readouterr().err) == differ


@pytest.mark.parametrize(
    ("scores", "flags", "said"),
    [
        ((1.0, 2.0), ("--samples", "1"), "its 2 scores are not used, because --samples asks for new ones"),
        ((None, None), (), "no answer has a score, so smollm2 scores them"),
        ((1.0, None), ("--min-coverage", "0.5"), ""),
        ((1.0, 2.0), (), ""),
    ],
)
def test_whose_scores_count_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str],
    scores: tuple[float | None, float | None], flags: tuple[str, ...], said: str,
) -> None:  # fmt: skip
    path = plain_rows(tmp_path / "two.jsonl", ("A", scores[0]), ("B", scores[1]))
    main(parse(Config, [str(path), "--dry-run", *flags], "best_of"))
    captured = capsys.readouterr()
    assert said in captured.err and ("by their scores" in captured.out + captured.err) == (said == "")


def test_the_rows_of_a_scored_file_are_not_held_in_memory(tmp_path: Path) -> None:
    path, n_answers, n_chars = tmp_path / "judgments.jsonl", 1_000, 10_000
    answers = (response(f"p{number % 250}", number) for number in range(n_answers))
    write_rows(path, (judgment(replace(one, response=one.id.ljust(n_chars, ".")), 1.0) for one in answers))
    assert len(asked(tmp_path, str(path))) == 250
    assert best_peak(path, tmp_path / "again.jsonl") < n_answers * n_chars / 5


def best_peak(path: Path, out: Path) -> int:
    """Return the bytes that the command had at most at one time."""
    tracemalloc.start()
    try:
        main(parse(Config, [str(path), "--out", str(out), "--json"], "best_of"))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_scores_of_two_judges_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "judgments.jsonl"
    write_rows(path, [judgment(one, 1.0, judge=one.prompt_id) for one in RESPONSES])
    with pytest.raises(InputError, match="3 judges cannot be compared"):
        asked(tmp_path, str(path))


def test_a_judge_scores_what_has_no_score_and_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def reply(request: Request) -> str:
        text = request.messages[0]["content"]
        return f"Score: {next(n for n in (2, 1, 0) if f'answer {n} to' in text)}"

    engine = ScriptedEngine(reply=reply)
    patch_open_engine(monkeypatch, lambda options: engine)
    path = tmp_path / "responses.jsonl"
    write_rows(path, RESPONSES)
    argv = (str(path), "--read", "text", "--samples", "1")
    kept = asked(tmp_path, *argv)
    assert [one.id for one in kept] == ["p2", "q2", "z1"] and len(engine.asked) == 8
    assert asked(tmp_path, *argv) == kept and len(engine.asked) == 8
    engine.reply = lambda request: "no verdict"
    with pytest.raises(JudgeError, match="only 0 of 8"):
        asked(tmp_path, *argv, "--seed", "1", "--fresh")


def test_a_reward_model_scores_and_an_empty_answer_has_no_score(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engines.reward_model import RewardModel
    from tests.trainer.reward_model.test_reward_training import pair
    from trainer.reward_model.options import RewardOptions
    from trainer.reward_model.train import train_reward_model

    options = RewardOptions(learning_rate=3e-3, batch_size=2, micro_batch_size=2, warmup_share=0.0, head="random")
    train_reward_model(tiny_model, tmp_path / "rm", [pair("Q", "a good one", "a bad one")] * 2, options, 0)
    rows = [*RESPONSES, Response(id="p9", prompt_id="p", prompt="p", response=" ", model="m")]
    write_rows(tmp_path / "responses.jsonl", rows)
    kept = asked(tmp_path, str(tmp_path / "responses.jsonl"), "--reward", str(tmp_path / "rm"))
    model = RewardModel.load(tmp_path / "rm", "rm")
    for best in kept:
        answers = [one for one in RESPONSES if one.prompt_id == best.prompt_id]
        rewards = model.score([one.prompt for one in answers], [one.response for one in answers])
        known = [reward for reward in rewards if reward is not None]
        assert best.response == answers[known.index(max(known))].response
    stored = list(read_rows(tmp_path / "best.judgments.jsonl", Judgment))
    assert [(row.score, row.error) for row in stored if row.response_id == "p9"] == [(None, "the response is empty")]
    monkeypatch.setattr(RewardModel, "load", None)  # all rewards are there, so the model is not needed
    assert asked(tmp_path, str(tmp_path / "responses.jsonl"), "--reward", str(tmp_path / "rm")) == kept


def test_answers_that_share_the_prompts_id_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text("".join(json.dumps({"id": "7", "prompt": "Q", "response": f"answer {n}"}) + "\n" for n in range(3)))
    from records.files import BadRows
    from records.shapes import read_responses

    rows = list(read_responses(path, BadRows()))
    scores = {answer_key(one): float(one.response[-1]) for one in rows}
    assert [one.response for one in best_of(rows, scores, 0).responses] == ["answer 2"] and len(scores) == 3


@pytest.mark.parametrize(("argv", "error"), [([], InputError), (["--reward", "nowhere"], (InputError, EngineError))])
def test_a_missing_file_or_model_is_one_line(tmp_path: Path, argv: list[str], error: Any) -> None:
    write_rows(tmp_path / "responses.jsonl", RESPONSES)
    given = [str(tmp_path / "responses.jsonl")] if argv else []
    with pytest.raises(error) as caught:
        main(parse(Config, [*given, *argv], "best_of"))
    assert "\n" not in str(caught.value)


def test_a_dry_run_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path / "responses.jsonl", RESPONSES)
    main(parse(Config, [str(tmp_path / "responses.jsonl"), "--dry-run"], "best_of"))
    assert "the best answer to each of 3 prompts, of 8 in" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["responses.jsonl"]


@pytest.mark.parametrize("text", ["", " \n"])
def test_an_answer_without_a_text_is_never_the_best_whatever_score_a_file_gives_it(text: str) -> None:
    rows = [replace(response("p", 0), response=text), response("p", 1), replace(response("q", 0), response=text)]
    best = best_of(rows, {answer_key(one): 5.0 - n for n, one in enumerate(rows)}, seed=0)
    assert [one.id for one in best.responses] == ["p1"] and best.left_out == ["q"]
    assert (best.n_unscored, best.mean_all) == (2, 4.0)
