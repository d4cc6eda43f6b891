"""A loop on prompts whose constraints a program checks: what it measures and what it shows."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from console.command import parse
from console.errors import TrainingError
from records import Judgment, read_rows
from records.keys import derived_seed
from records.runs import Run
from trainer.loop.__main__ import main
from trainer.loop.curve import draw
from trainer.loop.held_out.figures import IterationFigures
from trainer.loop.recipe import Config
from trainer.monitors.following import CheckedAnswer, known_pairs

RECIPE = """
name = "tiny"
iterations = 2
[engine]
model = "{model}"
batch_size = 8
[seeds]
prompts = "{folder}/prompts.jsonl"
ift = "{folder}/ift.jsonl"
judging = false
[candidates]
prompts = 3
n = 3
max_new_tokens = 12
temperature = 1.0
[sft]
learning_rate = 1e-3
batch_size = 2
[dpo]
learning_rate = 1e-3
batch_size = 2
[eval]
prompts = 4
n = 3
compare = false
[monitors]
kl = false
"""


@pytest.fixture(scope="module")
def folder(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("constrained")
    (folder / "tiny.toml").write_text(RECIPE.format(model=tiny_model, folder=folder))
    (folder / "ift.jsonl").write_text("".join(f'{{"prompt": "say {n}", "response": "point {n}"}}\n' for n in range(2)))
    rows = [
        {
            "id": letter,
            "prompt": f"Write a word with the letter {letter} in it.",
            "instruction_id_list": ["keywords:letter_frequency"],
            "kwargs": [{"letter": letter, "let_relation": "at least", "let_frequency": 1}],
        }
        for letter in "etaoinsr"
    ]
    (folder / "prompts.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return folder


@pytest.fixture(scope="module")
def run(folder: Path) -> Iterator[tuple[Path, str, str]]:
    """The run's folder, and what it printed to stdout and stderr."""
    import contextlib
    import io

    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.chdir(folder)
        main(parse(Config, ["--config", "tiny.toml"], "loop"))
    yield folder / "runs" / "tiny", out.getvalue(), err.getvalue()


def figures(run: Path, number: int) -> IterationFigures:
    return msgspec.json.decode((run / f"iter{number}" / "metrics.json").read_bytes(), type=IterationFigures)


def json_rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_iteration_says_how_many_answers_do_what_is_asked(run: tuple[Path, str, str]) -> None:
    for number in range(3):
        letters = {row["id"]: row["prompt"][29] for row in json_rows(run[0] / "eval" / "prompts.jsonl")}
        answers = json_rows(run[0] / "eval" / f"iter{number}.jsonl")
        right = [letters[row["prompt_id"]] in row["response"].lower() for row in answers]
        found, monitors = figures(run[0], number).following, figures(run[0], number).monitors
        assert found is not None and monitors is not None and len(answers) == found.follows.n == 4 * 3
        assert found.follows.value == monitors.follows == pytest.approx(sum(right) / len(right))
        assert (found.gain is None) == (number == 0) and found.n_prompts == 4


def test_the_models_own_scores_decide_the_known_pairs(run: tuple[Path, str, str]) -> None:
    n_pairs = 0
    for number in range(3):
        checked = list(read_rows(run[0] / "eval" / f"iter{number}_checks.jsonl", CheckedAnswer))
        ids, by_judge = {answer.response_id for answer in checked}, dict[str, dict[str, float]]()
        for row in read_rows(run[0] / "eval" / "judgments.jsonl", Judgment):
            if row.response_id in ids and row.score is not None:
                by_judge.setdefault(row.judge, {})[row.response_id] = row.score
        # Only the iteration itself scores all its answers: the frozen judge scores the first to each prompt.
        [own] = [scores for scores in by_judge.values() if len(scores) == len(ids)]
        found, decided = figures(run[0], number).following, known_pairs(checked, own)
        n_pairs += len(decided)
        assert found is not None and found.known_pairs.n == len(decided)
        if decided:
            assert found.known_pairs.value == pytest.approx(sum(right for _, right in decided) / len(decided))
    assert n_pairs


def test_without_comparisons_there_is_no_win_rate(run: tuple[Path, str, str]) -> None:
    folder, printed, _ = run
    assert not (folder / "eval" / "comparisons.jsonl").exists() and "win rate" not in printed
    assert all(figures(folder, number).win_rate is None for number in range(3))


def test_the_table_opens_with_the_two_numbers(run: tuple[Path, str, str]) -> None:
    lines = run[1].splitlines()
    assert [line.split("|")[1].strip(" -") for line in lines[:7]] == [
        "iteration", "", "does what is asked, %", "95% interval", "judge is right, %", "judge's 95% interval",
        "known pairs",
    ]  # fmt: skip


def test_every_line_fits_a_page_of_80_columns(run: tuple[Path, str, str]) -> None:
    assert [line for line in run[1].splitlines() if len(line) > 80] == []


def test_three_prompts_drawn_with_the_seed_are_shown_with_both_answers(run: tuple[Path, str, str]) -> None:
    from trainer.loop.examples import drawn_examples

    folder, printed, _ = run
    drawn = drawn_examples(Run(folder), 2, 0)
    held_out = {row["id"] for row in json_rows(folder / "eval" / "prompts.jsonl")}
    assert len({example.prompt_id for example in drawn}) == 3 and {example.prompt_id for example in drawn} <= held_out
    assert drawn == drawn_examples(Run(folder), 2, 0)
    assert "3 held-out prompts with constraints, drawn with seed 0" in printed
    for example in drawn:
        assert f"prompt: {example.prompt}" in printed
        for shown in (example.base, example.last):
            [first, *_] = (
                row
                for row in json_rows(folder / "eval" / f"iter{shown.iteration}.jsonl")
                if row["seed"] == derived_seed(0, example.prompt_id, 0) and row["prompt_id"] == example.prompt_id
            )
            assert shown.response == first["response"]
    seeds = {tuple(example.prompt_id for example in drawn_examples(Run(folder), 2, seed)) for seed in range(9)}
    assert len(seeds) > 1


def test_it_says_what_it_does_and_each_result_as_it_comes(run: tuple[Path, str, str]) -> None:
    said = run[2].splitlines()
    assert said[0].startswith("tiny: iter0 to iter2 of ") and said[0].endswith("each measured on 4 held-out prompts")
    assert re.fullmatch(r"about \d+ s on this machine; files in runs/tiny; the same command resumes", said[1])
    results = [line for line in said if "does what is asked" in line]
    shares = [found.follows.value for number in range(3) if (found := figures(run[0], number).following)]
    assert [line.split(" (")[0] for line in results] == [
        f"iter{number}: does what is asked {100 * (share or 0.0):.1f} %" for number, share in enumerate(shares)
    ]
    assert all(len(line) <= 80 for line in said[1:]), "a line that a terminal breaks"
    assert len(said) <= 8, "a short run has no progress lines of its stages"


def test_a_finished_run_only_prints_its_report_again(
    run: tuple[Path, str, str], folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    main(parse(Config, ["--config", "tiny.toml"], "loop"))
    printed = capsys.readouterr()
    assert printed.out == run[1] and printed.err == ""


def test_json_has_all_that_is_printed_as_data(
    run: tuple[Path, str, str], folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    main(parse(Config, ["--config", "tiny.toml", "--json"], "loop"))
    data = json.loads(capsys.readouterr().out)
    assert [row["following"]["follows"]["value"] for row in data["held_out"]] == [
        found.follows.value for number in range(3) if (found := figures(run[0], number).following)
    ]
    assert {shown["base"]["iteration"] for shown in data["examples"]} == {0} and len(data["examples"]) == 3
    assert data["folder"] == "runs/tiny" and len(data["next"]) == 3
    assert Path(data["picture"]).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_the_curve_is_drawn_of_every_iteration_and_the_same_each_time(run: tuple[Path, str, str]) -> None:
    import io

    from matplotlib import image

    measured = [figures(run[0], number) for number in range(3)]
    drawn, stored = draw(measured), (run[0] / "curve.png").read_bytes()
    assert drawn == stored and "runs/tiny/curve.png" in run[1]
    pixels = image.imread(io.BytesIO(stored))
    assert pixels.shape[:2] == (570, 1260) and pixels.min() < 0.2
    better = msgspec.structs.replace(measured[2], following=measured[0].following)
    assert draw([*measured[:2], better]) != drawn


def test_a_run_without_constraints_has_no_curve(run: tuple[Path, str, str]) -> None:
    assert draw([msgspec.structs.replace(figures(run[0], number), following=None) for number in range(3)]) is None


def test_only_the_answers_of_known_pairs_are_scored_if_asked(
    folder: Path, run: tuple[Path, str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    main(parse(Config, ["--config", "tiny.toml", "--name", "known", "--eval.no-score"], "loop"))
    whole, known = run[0], folder / "runs" / "known"
    for number in (0, 1, 2):
        assert figures(known, number).following == figures(whole, number).following
    judged = {row.response_id for row in read_rows(known / "eval" / "judgments.jsonl", Judgment)}
    outcomes: dict[tuple[int, str], set[bool | None]] = {}
    rows = {
        number: list(read_rows(known / "eval" / f"iter{number}_checks.jsonl", CheckedAnswer)) for number in range(3)
    }
    for number, checked in rows.items():
        for row in checked:
            outcomes.setdefault((number, row.prompt_id), set()).add(row.follows)
    differing = {row.response_id for number in rows for row in rows[number] if len(outcomes[number, row.prompt_id]) > 1}
    assert judged == differing
    monitors = figures(known, 2).monitors
    assert monitors is not None and monitors.mean_score is None and "not judged" in monitors.reasons["mean_score"]
    assert "mean score" not in capsys.readouterr().out


def test_held_out_answers_can_have_a_temperature_of_their_own(
    folder: Path, run: tuple[Path, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    main(parse(Config, ["--config", "tiny.toml", "--name", "greedy", "--eval.temperature", "0"], "loop"))
    greedy = folder / "runs" / "greedy"
    for row in json_rows(greedy / "eval" / "prompts.jsonl"):
        rows = [answer for answer in json_rows(greedy / "eval" / "iter0.jsonl") if answer["prompt_id"] == row["id"]]
        assert len(rows) == 3 and len({answer["response"] for answer in rows}) == 1
    candidates = [
        [row["response"] for row in json_rows(path / "iter2" / "responses.jsonl")] for path in (greedy, run[0])
    ]
    assert candidates[0] == candidates[1] and len(set(candidates[0])) > 3


def test_a_gate_on_the_pairs_stops_the_round_before_its_training(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    Path("gated.toml").write_text(Path("tiny.toml").read_text() + "[gates]\npairs_right = {max = -1.0}\n")
    with pytest.raises(TrainingError, match="iter2 is stopped by a gate before its training: pairs_right is "):
        main(parse(Config, ["--config", "gated.toml", "--name", "gated"], "loop"))
    iteration = folder / "runs" / "gated" / "iter2"
    assert (iteration / "pairs.jsonl").exists() and not (iteration / "model").exists()
    main(parse(Config, ["--config", "tiny.toml", "--name", "gated"], "loop"))  # the same run with the gate moved
    counts = json_rows(iteration.parent / "ledger.jsonl")[1]["counts"]
    assert (
        0
        < counts["pairs_right"] + counts["pairs_wrong"]
        <= counts["pairs"]
        == len(json_rows(iteration / "pairs.jsonl"))
    )
