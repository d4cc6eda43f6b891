import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from console.command import parse
from console.errors import InputError, JudgeError
from engines.protocol import Request
from engines.scripted import ScriptedEngine
from judges.labelled.ranked import RankedAnswers
from judges.labelled.ranked_files import read_ranked
from judges.options import JudgeOptions
from judges.parsing.parse import parse_reply
from judges.rubrics.rubric import load_rubric
from records.files import BadRows
from records.shapes import read_chats
from tests.fences import plain
from trainer.eft.__main__ import main
from trainer.eft.examples import agreeing
from trainer.eft.options import Config

N = 20
QUALITY = {"good": 5, "fair": 3, "poor": 1}
RUBRIC = load_rubric("additive")


class KilledError(Exception):
    """Stands for a kill: nothing catches it."""


def answers(name: str = "p", ranks: tuple[int, ...] = (0, 1, 2)) -> RankedAnswers:
    return RankedAnswers(id=name, prompt=name, responses=[f"answer {n}" for n in range(len(ranks))], ranks=list(ranks))


def honest(request: Request) -> str:
    text = plain(request.messages[-1]["content"]).rpartition("<answer>")[2]
    score = next(score for word, score in QUALITY.items() if word in text)
    return f"It is what it is.\nScore: {score}"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "ranked.jsonl"
    order = ("fair", "poor", "good")
    rows = [
        {"id": f"p{n}", "prompt": f"Question {n}", "responses": [f"{w} answer {n}" for w in order], "ranks": [1, 2, 0]}
        for n in range(N)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, file: Path) -> Callable[..., Path]:
    def run(engine: ScriptedEngine | None, *argv: str, out: str = "out") -> Path:
        def open_engine(_: object) -> ScriptedEngine:
            assert engine is not None, "no model is needed"
            return engine

        monkeypatch.setattr("trainer.eft.make.open_engine", open_engine)
        main(parse(Config, [str(file), "--out", str(tmp_path / out), *argv], "eft"))
        return tmp_path / out

    return run


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def counts_of(folder: Path) -> dict[str, dict[str, Any]]:
    return {row["step"]: row for row in json.loads((folder / "counts.json").read_text())["steps"]}


# the split


def test_split_only_writes_the_parts_and_asks_nobody(make: Callable[..., Path], file: Path) -> None:
    folder = make(None, "--split-only")
    everything = {row["id"]: row for row in rows_of(file)}
    parts = {name: rows_of(folder / f"{name}.jsonl") for name in ("ift", "eft", "held_out")}
    ids = [row["id"] for part in parts.values() for row in part]
    assert sorted(ids) == sorted(everything) and [len(part) for part in parts.values()] == [6, 8, 6]
    chats = list(read_chats(folder / "ift.jsonl", BadRows(strict=True)))
    assert [chat[-1]["content"].split()[0] for chat in chats] == ["good"] * 6
    assert len(read_ranked(folder / "held_out.jsonl", BadRows(strict=True))) == 6
    assert not (folder / "train.jsonl").exists() and not (folder / "judgments.jsonl").exists()


def test_only_first_turns_are_for_ift(data: Path, tmp_path: Path) -> None:
    source = str(data / "oasst" / "en_100_tree.jsonl.gz")
    main(parse(Config, [source, "--split-only", "--out", str(tmp_path)], "eft"))
    chats = [row["messages"] for row in rows_of(tmp_path / "ift.jsonl")]
    assert len(chats) == 30 and {len(chat) for chat in chats} == {2}
    assert counts_of(tmp_path)["first turns for IFT"]["prompts"] == 30


def test_two_splits_are_never_mixed_in_one_folder(make: Callable[..., Path]) -> None:
    folder = make(None, "--split-only")
    before = (folder / "held_out.jsonl").read_bytes()
    with pytest.raises(InputError, match="made from another file, seed or shares"):
        make(None, "--split-only", "--seed", "1")
    assert (folder / "held_out.jsonl").read_bytes() == before
    make(None, "--split-only")
    make(None, "--split-only", "--seed", "1", "--fresh")
    assert (folder / "held_out.jsonl").read_bytes() != before


# what is kept


@pytest.mark.parametrize(
    ("ranks", "scores", "by_prompt", "by_pair"),
    [
        ((0, 1, 2), (5, 3, 1), [0, 1, 2], [0, 1, 2]),
        ((0, 1, 2), (5, 1, 3), [], [0]),  # 1 and 2 are turned round
        ((0, 1, 2), (4, 4, 3), [0, 1, 2], [0, 1, 2]),  # a tie speaks neither for nor against
        ((0, 1, 2), (4, 4, 4), [], []),  # nothing is ordered
        ((0, 1, 2), (4, None, 3), [0, 2], [0, 2]),  # without a score: in no pair, and not kept
        ((0, 1, 2), (4, None, None), [], []),
        ((0, 0, 1), (1, 5, 0), [0, 1, 2], [0, 1, 2]),  # the people tied 0 and 1: how they are scored does not matter
        ((0, 1), (2, 3), [], []),
        ((0, 1, 2, 3), (5, 4, 1, 2), [], [0, 1]),
    ],
)
def test_what_agrees_is_kept(
    ranks: tuple[int, ...], scores: tuple[float | None, ...], by_prompt: list[int], by_pair: list[int]
) -> None:
    ranked = answers(ranks=ranks)
    assert agreeing(ranked, scores, "prompt") == by_prompt
    assert agreeing(ranked, scores, "pair") == by_pair


def test_the_judge_learns_its_own_reply_to_the_very_question_that_it_was_asked(make: Callable[..., Path]) -> None:
    engine = ScriptedEngine(honest)
    folder = make(engine)
    train = rows_of(folder / "train.jsonl")
    assert [row["messages"][:-1] for row in train] == [request.messages for request in engine.asked]
    assert len(train) == 3 * 8 and Counter(row["score"] for row in train) == {5: 8, 3: 8, 1: 8}
    assert {(row["rank"], row["score"]) for row in train} == {(0, 5), (1, 3), (2, 1)}
    for chat, row in zip(read_chats(folder / "train.jsonl", BadRows(strict=True)), train, strict=True):
        assert parse_reply(chat[-1]["content"], RUBRIC).value == row["score"]
        assert chat[-1]["content"].startswith("It is what it is.\n")
    held_out = {row["prompt"] for row in rows_of(folder / "held_out.jsonl")}
    assert not any(prompt in row["messages"][0]["content"].splitlines() for row in train for prompt in held_out)


def test_prompts_that_the_judge_orders_otherwise_are_dropped_and_counted(make: Callable[..., Path]) -> None:
    def wrong_now_and_then(request: Request) -> str:
        text = request.messages[-1]["content"]
        return honest(request) if "Question 1" in text else "As bad as it gets.\nScore: 0"

    folder = make(ScriptedEngine(wrong_now_and_then))
    n_right = sum(row["prompt"].startswith("Question 1") for row in rows_of(folder / "eft.jsonl"))
    counts = counts_of(folder)
    assert 0 < n_right < 8
    assert (counts["judged"]["replies"], counts["agreed"]["prompts"], counts["agreed"]["answers"]) == (
        24, n_right, 3 * n_right,
    )  # fmt: skip


def test_of_several_attempts_the_first_that_keeps_most_is_taken(make: Callable[..., Path]) -> None:
    seen: Counter[str] = Counter()

    def second_time_right(request: Request) -> str:
        text = request.messages[-1]["content"]
        seen[text] += 1
        good = honest(request)
        return [good.replace("5", "0"), f"Second. {good}", f"Third. {good}"][seen[text] - 1]

    folder = make(ScriptedEngine(second_time_right), "--samples", "3")
    train = rows_of(folder / "train.jsonl")
    assert len(train) == 24 and all(row["messages"][-1]["content"].startswith("Second.") for row in train)
    assert counts_of(folder)["asked"]["replies"] == 72


def test_what_follows_the_score_is_not_learnt(make: Callable[..., Path]) -> None:
    folder = make(ScriptedEngine(lambda request: f"{honest(request)}\n\nLet me know if you need more!"))
    replies = [row["messages"][-1]["content"] for row in rows_of(folder / "train.jsonl")]
    assert len(replies) == 24 and all(reply.splitlines()[-1].startswith("Score:") for reply in replies)


def test_replies_without_a_verdict_or_a_reason_are_counted_and_not_learnt(
    make: Callable[..., Path], tmp_path: Path
) -> None:
    def reply(request: Request) -> str:
        text = plain(request.messages[-1]["content"]).rpartition("<answer>")[2]
        return "Hard to say." if "fair" in text else "Score: 1" if "poor" in text else honest(request)

    with pytest.raises(JudgeError, match="the judge gave 5 to every answer"):
        make(ScriptedEngine(reply))
    counts = {name: row["replies"] for name, row in counts_of(tmp_path / "out").items()}
    names = ("asked", "unparsed", "no reason before the score", "judged")
    assert [counts[name] for name in names] == [24, 8, 8, 8]


def test_the_other_answers_of_a_prompt_are_learnt_where_one_has_no_verdict(make: Callable[..., Path]) -> None:
    def reply(request: Request) -> str:
        return "Hm." if "fair" in request.messages[-1]["content"] else honest(request)

    folder = make(ScriptedEngine(reply))
    assert Counter(row["score"] for row in rows_of(folder / "train.jsonl")) == {5: 8, 1: 8}


def test_a_truncated_reply_is_not_learnt(make: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(JudgeError, match="truncated.*--targets ranks"):
        make(ScriptedEngine(honest, finish_reason="length"))
    counts = counts_of(tmp_path / "out")
    assert (counts["unparsed"]["replies"], counts["judged"]["replies"]) == (24, 0)


def test_a_judge_that_never_agrees_leaves_nothing_to_train_on(make: Callable[..., Path], tmp_path: Path) -> None:
    def contrary(request: Request) -> str:
        return honest(request).replace("5", "0").replace("1", "4")

    with pytest.raises(JudgeError, match="no prompt's scores agree"):
        make(ScriptedEngine(contrary))
    assert counts_of(tmp_path / "out")["agreed"]["answers"] == 0
    assert not (tmp_path / "out" / "train.jsonl").exists()


def test_with_logprobs_the_target_is_the_score_alone(make: Callable[..., Path]) -> None:
    def likely(request: Request, choices: Any) -> list[float]:
        score = honest(request).rpartition(" ")[2]
        return [-0.1 if choice == score else -9.0 for choice in choices]

    folder = make(ScriptedEngine(logprobs=likely), "--read", "logprobs")
    replies = {row["messages"][-1]["content"] for row in rows_of(folder / "train.jsonl")}
    assert replies == {"Score: 1", "Score: 3", "Score: 5"}


# scores from ranks


def test_ranks_become_scores_from_top_to_bottom_and_no_model_is_opened(make: Callable[..., Path]) -> None:
    folder = make(None, "--targets", "ranks", "--read", "logprobs", "--max-share", "1")
    found = {(row["rank"], row["messages"][-1]["content"]) for row in rows_of(folder / "train.jsonl")}
    assert found == {(0, "Score: 5"), (1, "Score: 2"), (2, "Score: 0")}
    assert "asked" not in counts_of(folder)


# the cap


def test_two_scores_cannot_keep_to_a_share_under_a_half(make: Callable[..., Path], capsys: Any) -> None:
    folder = make(ScriptedEngine(lambda r: f"So.\nScore: {5 if 'good' in r.messages[-1]['content'] else 1}"))
    assert Counter(row["score"] for row in rows_of(folder / "train.jsonl")) == {5: 8, 1: 8}
    assert "only 2 scores occur" in capsys.readouterr().err


# resuming, flags


def test_a_killed_run_goes_on_and_ends_as_an_uninterrupted_one(make: Callable[..., Path]) -> None:
    n_calls = 0

    def dies(request: Request) -> str:
        nonlocal n_calls
        n_calls += 1
        if n_calls > 5:
            raise KilledError
        return honest(request)

    whole = make(ScriptedEngine(honest), out="whole")
    with pytest.raises(KilledError):
        make(ScriptedEngine(dies), out="resumed")
    engine = ScriptedEngine(honest)
    resumed = make(engine, out="resumed")
    assert len(engine.asked) == 24 - 5
    for name in ("train.jsonl", "counts.json", "held_out.jsonl"):
        assert (resumed / name).read_bytes() == (whole / name).read_bytes(), name


def test_dry_run_prints_the_plan_and_writes_nothing(make: Callable[..., Path], capsys: Any) -> None:
    folder = make(None, "--dry-run", "--samples", "2", "--limit", "3")
    said = capsys.readouterr().out
    assert "18 times about 9 answers" in said and "<answer>" in plain(said)
    assert not folder.exists()


def test_limit_takes_the_first_prompts_of_the_eft_part(make: Callable[..., Path]) -> None:
    engine = ScriptedEngine(honest)
    assert len(rows_of(make(engine, "--limit", "2") / "train.jsonl")) == len(engine.asked) == 6


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--max-share", "0"], "--max-share"),
        (["--limit", "0"], "--limit"),
        (["--ift-share", "0.8"], "together under 1"),
        (["--held-out-share", "0"], "--held-out-share"),
        (["--held-out-share", "0.001"], "20 trees are too few"),
        (["--rubric", "pairwise"], "--rubric pairwise"),
        (["--rubric", "criteria"], "--rubric criteria"),
        (["--read", "structured"], "--read structured"),
        (["--samples", "0"], "--samples"),
    ],
)
def test_bad_flags_are_one_clear_error_before_anything_is_written(
    make: Callable[..., Path], tmp_path: Path, argv: list[str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        make(None, *argv)
    assert not (tmp_path / "out").exists()


def test_without_a_file_it_says_so() -> None:
    with pytest.raises(InputError, match="name a file of ranked answers"):
        main(Config(judge=JudgeOptions()))


def test_conversations_of_an_earlier_version_are_counted_and_those_of_this_one_are_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from judges.rubrics.rubric import load_rubric
    from records.store import write_rows
    from trainer.eft.examples import judge_chat
    from trainer.prompts.seeds.reading import eft_chats

    rubric = load_rubric("additive")
    now = judge_chat(rubric, "text", "Q", "A", "Fine.\nScore: 3")
    before = [{**now[0], "content": plain(now[0]["content"])}, now[1]]
    for name, chats in (("now", [now]), ("before", [now, before])):
        write_rows(tmp_path / f"{name}.jsonl", [{"messages": chat} for chat in chats])
        assert list(eft_chats(tmp_path / f"{name}.jsonl", rubric, "text")) == chats
    assert [line.split(": ", 1)[1] for line in capsys.readouterr().err.splitlines()] == [
        "1 conversations use an older question format than the judge: remake them with trainer.eft"
    ]
