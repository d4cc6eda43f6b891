from pathlib import Path
from typing import Any

from experiments.ift_small.comparison import (
    TRAINERS,
    UNTRAINED,
    _less_sft,
    _measuring,
    _row,
    _training,
    _write_data,
    pairs_of,
)
from experiments.ift_small.options import Config
from judges.labelled.ranked import RankedAnswers
from records import Pair, Response, read_rows
from records.files import BadRows
from records.shapes import read_chats

COST = {"seconds": 9.0, "cpu_seconds": 8.4, "peak_mib": 2000.4}


def test_a_pair_is_the_highest_ranked_against_the_lowest_and_a_text_twice_is_none() -> None:
    rows = [
        RankedAnswers(id="a", prompt="p", responses=["middle", "best", "last", "also last"], ranks=[1, 0, 2, 2]),
        RankedAnswers(id="b", prompt="q", responses=["same", "same"], ranks=[0, 1]),
    ]
    [pair] = pairs_of(rows)
    assert (pair.prompt_id, pair.chosen[0]["content"], pair.rejected[0]["content"]) == ("a", "best", "last")


def test_all_methods_learn_the_same_answers_and_none_that_is_measured_on(data: Path, tmp_path: Path) -> None:
    config = Config(file=data / "oasst" / "en_100_tree.jsonl.gz", data_dir=data, limit=20, out=tmp_path)
    _write_data(config)
    pairs = list(read_rows(tmp_path / "data" / "pairs.jsonl", Pair))
    chats = list(read_chats(tmp_path / "data" / "chats.jsonl", BadRows(strict=True)))
    assert [[*pair.prompt, *pair.chosen] for pair in pairs] == chats and len(chats) == 20
    held_out = {row.prompt_id for row in read_rows(tmp_path / "data" / "people.jsonl", Response)}
    assert len(held_out) > 32 and not held_out & {pair.prompt_id for pair in pairs}


def test_every_model_is_trained_once_from_the_same_one_and_measured_alike() -> None:
    config = Config(file=Path("trees.jsonl"), data_dir=Path("data"), model="base", questions=150)
    training, measuring = _training(config), _measuring(config)
    assert list(training) == list(TRAINERS) and list(measuring) == [UNTRAINED, *TRAINERS]
    for step in training.values():
        assert step.words[step.words.index("--model") + 1] == "base"
    for arm, (tasks, mmlu, compared) in measuring.items():
        model = "base" if arm == UNTRAINED else str(training[arm].made)
        assert {step.words[step.words.index("--model") + 1] for step in (tasks, mmlu, compared)} == {model}
        assert "mmlu" not in tasks.words and mmlu.words[mmlu.words.index("--limit") + 1] == "2"
        assert compared.words[compared.words.index("--judge-model") + 1] == config.judge


def test_a_row_has_each_task_the_win_rate_and_the_cost() -> None:
    numbers = {"gsm8k": {("a", 0): 0.0, ("a", 1): 1.0, ("b", 0): 0.5}, "arc_gen": {}}
    compared: dict[str, Any] = {"win_rate": 12.5, "standard_error": 2.0, "avg_length": 300}
    assert _row("IFT", numbers, compared, COST) == {
        "model": "IFT",
        "gsm8k": "50.0 ± 124.2",  # 4.303 x 50 / sqrt 3
        "arc_gen": None,
        "win rate": "12.5 ± 3.9",
        "flipped, %": None,
        "characters": 300,
        "CPU seconds": 8,
        "peak MiB": 2000,
    }
    assert _row(UNTRAINED, numbers, compared, None)["CPU seconds"] is None


def test_less_sft_pairs_the_models_question_by_question() -> None:
    sft = {("samples_gsm8k.jsonl", place): float(place % 2) for place in range(4)}
    ift = dict.fromkeys(sft, 1.0) | {("samples_gsm8k.jsonl", 9): 0.0}
    numbers = {"SFT": {"gsm8k": sft, "mmlu": {}}, "IFT": {"gsm8k": ift, "mmlu": {}}}
    row = _less_sft("IFT", numbers)
    assert row == {"model": "IFT", "gsm8k": "+50.0 ± 91.9", "mmlu": None}  # 100, 0, 100, 0: 3.182 x 57.7 / sqrt 4
