import json
from pathlib import Path

import pytest

from console.errors import InputError
from experiments.round_signal.__main__ import main
from experiments.round_signal.options import Config
from experiments.round_signal.signal import share_first_more
from records import Message, pair_of
from records.runs import Run
from records.store import write_rows
from tests.tiny import save_tiny_model
from trainer.sft.options import SFTOptions
from trainer.sft.train import train_sft

PROMPTS = [f"Say {n}." for n in range(4)]
TAUGHT, OTHER = "Yes, I will say it.", "No."


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run whose round made the taught answers likelier, as its pairs ask for."""
    found = Run(tmp_path / "run")
    save_tiny_model(found.model(1))
    chats: list[list[Message]] = [
        [{"role": "user", "content": prompt}, {"role": "assistant", "content": TAUGHT}] for prompt in PROMPTS
    ]
    train_sft(found.model(1), found.model(2), chats, SFTOptions(learning_rate=1e-2, batch_size=4, epochs=3), 0)
    found.config.write_text("")
    (found.iteration(1) / "metrics.json").write_text(json.dumps({"monitors": {"judge_accuracy": 0.75}}))
    write_rows(found.iteration(2) / "pairs.jsonl", [pair_of(prompt, prompt, TAUGHT, OTHER) for prompt in PROMPTS])
    return found


def test_a_round_that_learnt_what_people_reject_shows_it(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"input": prompt, "output_1": OTHER, "output_2": TAUGHT, "label": 1} for prompt in PROMPTS]
    (tmp_path / "labelled.json").write_text(json.dumps(rows))
    for _ in range(2):  # the second time nothing is computed
        main(Config(folder=run.folder, labelled=tmp_path / "labelled.json", json=True))
        [row] = json.loads(capsys.readouterr().out)
        assert row == {
            "round": "iter2",
            "judge right": 0.75,
            "pairs": 4,
            "chosen is longer": 1.0,
            "chosen gained more": 1.0,
            "people's better gained more": 0.0,
            "people's longer gained more": 1.0,
        }
    assert len(list((run.iteration(2) / "signal").iterdir())) == 2


def test_a_gain_that_is_not_known_is_left_out() -> None:
    assert share_first_more([(1.0, 0.0), (0.0, 1.0), (None, 1.0), (2.0, 0.0), (3.0, None)]) == pytest.approx(2 / 3)
    assert share_first_more([(None, None)]) is None


def test_a_run_without_rounds_is_named(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text("")
    (tmp_path / "labelled.json").write_text(
        json.dumps([{"input": "p", "output_1": OTHER, "output_2": TAUGHT, "label": 1}])
    )
    with pytest.raises(InputError, match="has no pairs to measure"):
        main(Config(folder=tmp_path, labelled=tmp_path / "labelled.json"))
