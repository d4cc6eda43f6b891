from dataclasses import dataclass, field
from pathlib import Path

import pytest

from console.command import Flags, parse
from console.errors import InputError, TrainingError
from trainer.monitors.gates import REMEDIES, Gate, Gates, check_gate_names, check_gates
from trainer.monitors.monitors import MONITORS, Monitors


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    gates: Gates = field(default_factory=dict)


FIRST = Monitors(iteration=1, mean_chars=1000.0, truncated=0.0, length_score=-0.1)
NOW = Monitors(
    iteration=3, mean_chars=2500.0, truncated=0.1, length_score=0.4, reasons={"judge_accuracy": "not asked for"}
)


def parsed(tmp_path: Path, text: str, *flags: str) -> Gates:
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    return parse(Config, ["--config", str(path), *flags], "loop").gates


def test_gates_are_read_from_a_recipe_and_a_flag_wins(tmp_path: Path) -> None:
    text = (
        "[gates]\nmean_chars = {max = 4000, max_ratio = 2.0}\ntruncated = {max = 0.2}\njudge_accuracy = {min = 0.55}\n"
    )
    gates = parsed(tmp_path, text, "--gates.truncated.max", "0.3")
    assert gates == {
        "mean_chars": Gate(max=4000, max_ratio=2), "truncated": Gate(max=0.3), "judge_accuracy": Gate(min=0.55)
    }  # fmt: skip
    check_gate_names(gates)
    assert parse(Config, [], "loop").gates == {}


def test_gates_can_be_written_down_and_compared_as_a_runs_settings(tmp_path: Path) -> None:
    from trainer.runs.ledger import _settings

    config = parse(Config, ["--config", str(written(tmp_path))], "loop")
    assert _settings(config)["gates"] == {"truncated": {"max": 0.2}}  # type: ignore[arg-type]


def written(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text("[gates]\ntruncated = {max = 0.2}\n")
    return path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[gates]\ntruncated = {maximum = 0.2}", "maximum"),
        ("[gates]\ntruncated = {max = 'much'}", "Expected `float | null`"),
        ("[gates]\ntruncated = 0.2", "Expected `object`"),
    ],
)
def test_a_gate_that_is_written_wrong_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parsed(tmp_path, text)


@pytest.mark.parametrize(
    ("gates", "message"),
    [
        ({"mean_char": Gate(max=1)}, "no monitor is called 'mean_char'; did you mean 'mean_chars'?"),
        ({"zzz": Gate(max=1)}, "known: mean_chars, mean_tokens"),
        ({"iteration": Gate(max=1)}, "no monitor is called 'iteration'"),
        ({"kl": Gate()}, "'kl' has no limit"),
        ({"kl": Gate(min=2, max=1)}, "'kl' has min 2 above max 1"),
        ({"kl": Gate(min_ratio=2, max_ratio=1)}, "'kl' has min_ratio 2 above max_ratio 1"),
    ],
)
def test_gates_that_say_nothing_are_refused(gates: Gates, message: str) -> None:
    with pytest.raises(InputError, match=message.replace("?", r"\?")):
        check_gate_names(gates)


@pytest.mark.parametrize(
    "gates",
    [
        {},
        {"mean_chars": Gate(max=2500, min=2500)},
        {"mean_chars": Gate(max_ratio=2.5)},
        {"truncated": Gate(max=0.2)},
        {"length_score": Gate(max=0.5)},
    ],
)
def test_a_monitor_inside_its_range_goes_on(gates: Gates) -> None:
    check_gates(NOW, FIRST, gates)


@pytest.mark.parametrize(
    ("gates", "message"),
    [
        ({"mean_chars": Gate(max=2000)}, "iter3 is stopped by a gate: mean_chars is 2500, outside at most 2000; len"),
        ({"mean_chars": Gate(min=3000)}, "outside at least 3000"),
        ({"mean_chars": Gate(min=0, max=9)}, "outside 0 to 9"),
        ({"mean_chars": Gate(max_ratio=2)}, "mean_chars is 2500, 2.5 times its 1000 in iter1, outside at most 2 times"),
        ({"judge_accuracy": Gate(min=0.5)}, "judge_accuracy has a gate and no value: not asked for. Measure it"),
        ({"truncated": Gate(max_ratio=2)}, "to iter1, where it is 0, to which there is no ratio; use min and max"),
        ({"length_score": Gate(max_ratio=2)}, "where it is -0.1, to which there is no ratio"),
        ({"truncated": Gate(max=0.05), "mean_chars": Gate(max=9)}, "truncated is 0.1.*; 1 more: mean_chars is 2500"),
    ],
)  # fmt: skip
def test_a_monitor_outside_its_range_stops_the_run(gates: Gates, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        check_gates(NOW, FIRST, gates)


def test_the_first_iteration_has_no_ratio_to_itself() -> None:
    check_gates(FIRST, None, {"mean_chars": Gate(max_ratio=0.5)})
    with pytest.raises(TrainingError):
        check_gates(FIRST, None, {"mean_chars": Gate(max=500)})


def test_every_remedy_is_of_a_monitor() -> None:
    assert REMEDIES.keys() <= set(MONITORS)
