"""What is beyond max_length is left out and counted, and so is what was cut off when it was generated."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from console.errors import TrainingError
from engines.scripted import ScriptedEngine
from judges.judging.judge import open_judge
from judges.options import JudgeOptions
from judges.rubrics.rubric import load_rubric
from records import Pair, Prompt, Response, read_rows
from records.finish import text_cut_off
from records.rows import messages_of
from records.store import write_rows
from trainer.dpo.options import DPOOptions
from trainer.dpo.train import train_dpo
from trainer.eft.examples import judge_chat
from trainer.ift.options import IFTOptions
from trainer.kto.options import KTOOptions
from trainer.kto.train import train_kto
from trainer.orpo.options import ORPOOptions
from trainer.orpo.train import train_orpo
from trainer.pairs.options import PairOptions
from trainer.pairs.pairing import make_pairs
from trainer.reward_model.options import RewardOptions
from trainer.reward_model.train import train_reward_model
from trainer.sft.options import SFTOptions
from trainer.sft.train import train_sft
from trainer.simpo.options import SimPOOptions
from trainer.simpo.train import train_simpo
from trainer.training.lengths import fitting
from trainer.training.outcome import report_of

LONG = "point " * 60
ROOM = {"max_length": 64, "batch_size": 2, "micro_batch_size": 2, "save_minutes": 0.0}


def chat(answer: str) -> list[dict[str, str]]:
    return [*messages_of("say it"), {"role": "assistant", "content": answer}]


def pair(chosen: str, rejected: str, *reasons: str | None) -> Pair:
    named = dict(zip(("chosen_finish_reason", "rejected_finish_reason"), reasons, strict=False))
    sides = {"chosen": chat(chosen)[1:], "rejected": chat(rejected)[1:]}
    return Pair(prompt=messages_of("say it"), prompt_id="p", **sides, **named)


CHATS = [chat("it"), chat(LONG), chat("so"), chat("one two")]
PAIRS = [pair("it", "so", "stop", "length"), pair("it", LONG, "stop"), pair(LONG, "it"), pair("so", "no", "max_tokens")]


def train_ift(*args: Any) -> Any:
    from trainer.ift.trainer import train_ift

    return train_ift(*args)


@pytest.mark.parametrize(
    ("train", "rows", "options", "n_learnt", "n_left_out", "n_cut_off"),
    [
        (train_sft, CHATS, SFTOptions(**ROOM), 3, 1, 0),
        (train_ift, CHATS, IFTOptions(**ROOM), 3, 1, 0),
        (train_ift, CHATS, IFTOptions(**ROOM, loss_on="all"), 3, 1, 0),
        (train_dpo, PAIRS, DPOOptions(**ROOM), 2, 2, 2),
        (train_orpo, PAIRS, ORPOOptions(**ROOM), 2, 2, 2),
        (train_simpo, PAIRS, SimPOOptions(**ROOM), 2, 2, 2),
        (train_kto, PAIRS, KTOOptions(**ROOM), 6, 2, 2),
        (train_reward_model, PAIRS, RewardOptions(**ROOM), 2, 2, 2),
    ],
)
def test_a_trainer_leaves_out_and_counts_what_would_be_cut_and_counts_what_was(
    train: Callable[..., Any],
    rows: Any,
    options: Any,
    n_learnt: int,
    n_left_out: int,
    n_cut_off: int,
    tiny_model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    trained = train(tiny_model, tmp_path / "model", rows, options, 0)
    assert (trained.n_examples, trained.n_left_out, trained.n_cut_off) == (n_learnt, n_left_out, n_cut_off)
    assert report_of(tmp_path / "model") == trained
    said = capsys.readouterr().err
    assert (
        f"{n_left_out} of {n_learnt + n_left_out} " in said and "left out" in said and "max_length (64 tokens" in said
    )
    assert ("2 of 4 pairs have an answer that was cut off when it was generated" in said) == bool(n_cut_off)


def test_an_example_that_just_fits_is_whole_and_one_token_less_is_too_few(tiny_model: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    rows = [{"prompt": messages_of("say it"), "completion": chat("point it")[1:]}]
    n = len(tokenizer.apply_chat_template(chat("point it"), return_dict=False))
    assert list(fitting(tokenizer, rows, n, "SFT")) == rows
    with pytest.raises(TrainingError, match=rf"SFT: no example fits --max-length \({n - 1} tokens\); raise it"):
        list(fitting(tokenizer, rows, n - 1, "SFT"))


def test_a_judgment_never_loses_its_score_line(tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    rubric = load_rubric("additive")
    chats = [judge_chat(rubric, "text", "say it", "it", f"{'It is good. ' * n}\nScore: 4") for n in (1, 40, 2)]
    rows = [{"prompt": one[:-1], "completion": one[-1:]} for one in chats]
    lengths = [len(tokenizer.apply_chat_template(one, return_dict=False)) for one in chats]
    kept = list(fitting(tokenizer, rows, max(lengths) - 1, "iter1 SFT"))
    assert kept == [rows[0], rows[2]]
    said = capsys.readouterr().err
    assert "iter1 SFT: 1 of 3 examples left out: their end, for example a judgment's score, is beyond max_" in said


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"finish_reason": "length"}, True), ({"finish_reason": "content_filter"}, True),
        ({"chosen_finish_reason": "stop", "rejected_finish_reason": "max_tokens"}, True),
        ({"finish_reason": "stop"}, False), ({"finish_reason": None}, False), ({}, False),
        ({"finish_reason": 3}, False), ({"finish_reasons": ["length"]}, False),
    ],
)  # fmt: skip
def test_a_record_says_whether_its_own_text_was_cut_off(record: dict[str, Any], expected: bool) -> None:
    assert text_cut_off(record) == expected


def answer(text: str, reason: str | None) -> Response:
    return Response(
        id=text, prompt_id="p", prompt="say it", response=text, model="m", finish_reason=reason, seed=0, n_tokens=1
    )


def test_how_an_answer_ended_goes_from_the_answer_to_the_pair(tmp_path: Path) -> None:
    scores = {"good": 5, "bad": 1}
    engine = ScriptedEngine(reply=lambda request: f"Score: {scores['good' if 'good' in str(request) else 'bad']}")
    judge = open_judge(engine, JudgeOptions(read="text", samples=1), 0)
    judgments = list(judge.judge([answer("good", "stop"), answer("bad", "length")]))
    [made], _ = make_pairs(judgments, PairOptions())
    assert (made.chosen_finish_reason, made.rejected_finish_reason) == ("stop", "length")
    write_rows(tmp_path / "pairs.jsonl", [made])
    assert list(read_rows(tmp_path / "pairs.jsonl", Pair)) == [made]
    from records.files import BadRows
    from records.shapes import read_pairs

    bad = BadRows()
    assert list(read_pairs(tmp_path / "pairs.jsonl", bad)) == [made] and bad.n_cut_off == 1


def test_a_command_prints_how_many_examples_were_left_out_and_cut_off(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from trainer.sft.__main__ import Config, main

    rows = [answer("it", "stop"), answer("so", "length"), answer("one", "max_tokens"), answer(LONG, None)]
    write_rows(tmp_path / "answers.jsonl", rows)
    main(
        Config(
            file=tmp_path / "answers.jsonl", model=str(tiny_model), out=tmp_path / "model", json=True,
            training=SFTOptions(**ROOM),
        )
    )  # fmt: skip
    printed = capsys.readouterr()
    [row] = json.loads(printed.out)
    assert (row["examples"], row["left out"], row["cut off"]) == (3, 1, 2)
    assert "answers.jsonl: 2 answers were cut off when they were generated" in printed.err


def test_a_loops_summary_says_what_was_cut_off_and_left_out() -> None:
    from trainer.loop.report import lengths_of
    from trainer.runs.ledger import LedgerLine

    def line(name: str, cut_off: int = 0, left_out: int = 0) -> LedgerLine:
        return LedgerLine(
            id=name, parent=None, reference_model=None, prompt_split=None, judge=None, mean_score=None,
            mean_chars=None, n_tokens=0, seconds=0.0, counts={"responses": 12, "cut_off": cut_off},
            training={"left_out": left_out},
        )  # fmt: skip

    lines = [line("iter1", left_out=2), line("iter2"), line("iter3", cut_off=5, left_out=1)]
    assert lengths_of(lines) == [
        "iter1: 2 examples left out, over max_length",
        "iter3: 5 of 12 answers cut off; 1 examples left out, over max_length",
    ]


def test_ppo_says_what_share_of_its_answers_had_no_end(tiny_model: Path, tmp_path: Path) -> None:
    from trainer.ppo.options import PPOOptions
    from trainer.ppo.rewards import RewardSource
    from trainer.ppo.trainer import PPOStep, log_of, train_ppo

    options = replace(
        PPOOptions(), rollout_batch_size=4, step_batch_size=4, micro_batch_size=4, response_length=1, steps=1
    )
    source = RewardSource("one", lambda _, texts: [1.0] * len(texts))
    trained = train_ppo(tiny_model, tmp_path / "model", [Prompt(id="p", prompt="say it")], source, options, 0)
    [step] = read_rows(log_of(tmp_path / "model"), PPOStep)
    assert step.cut_off is not None and 0 < step.cut_off <= 1 and trained.metrics["cut_off"] == step.cut_off
