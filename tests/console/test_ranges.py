"""Every number of every command: its range is stated, and what is out of it is refused before anything is done."""

import dataclasses
import importlib
import math
import re
import typing
from pathlib import Path
from typing import Any

import pytest

from console.command import parse
from console.errors import InputError
from console.ranges import MOST, Count, Range, Setting, Share, check_command, check_ranges, settings_of
from tests.console.test_command import COMMANDS, EXPERIMENTS

MODULES = [*COMMANDS, *(f"experiments.{name}" for name in EXPERIMENTS)]


def config_of(command: str) -> Any:
    """Return the dataclass of a command's flags."""
    module = importlib.import_module(command)
    if not hasattr(module, "main") or hasattr(module, "__path__"):
        module = importlib.import_module(f"{command}.__main__")
    return module.Config  # type: ignore[attr-defined]


SETTINGS = [(command, setting) for command in MODULES for setting in settings_of(config_of(command))]
IDS = [f"{command}--{setting.flag}" for command, setting in SETTINGS]


def given(config: Any, path: tuple[str, ...], value: object) -> Any:
    """Return `config` with `value` at `path`; a section that is left out by default is put in."""
    name, *rest = path
    if not rest:
        return dataclasses.replace(config, **{name: value})
    section = getattr(config, name)
    if section is None:
        section = section_of(config, name)
    return dataclasses.replace(config, **{name: given(section, tuple(rest), value)})


def section_of(config: Any, name: str) -> Any:
    kinds = typing.get_args(typing.get_type_hints(type(config))[name])
    return next(kind for kind in kinds if dataclasses.is_dataclass(kind))()


def wrong_for(setting: Setting) -> list[float]:
    """Return numbers that the setting may not have."""
    allowed = setting.range
    assert allowed is not None
    wrong: list[float] = [] if setting.kind is int else [math.nan, math.inf, -math.inf]
    if allowed.low > -math.inf:
        wrong += [allowed.low - 1] + ([allowed.low] if allowed.above else [])
    if allowed.high < math.inf:
        wrong += [allowed.high + 1] + ([allowed.high] if allowed.below else [])
    if setting.kind is int:
        wrong += [10**30, -(10**5000)]
    return wrong


def test_there_are_settings_to_check() -> None:
    assert len(SETTINGS) > 500 and len({setting.flag for _, setting in SETTINGS}) > 200


@pytest.mark.parametrize(("command", "setting"), SETTINGS, ids=IDS)
def test_a_number_out_of_its_range_is_refused_by_its_flag_and_key(command: str, setting: Setting) -> None:
    assert setting.range is not None, "state its range beside it: see console/ranges.py"
    config = config_of(command)()
    for value in wrong_for(setting):
        with pytest.raises(InputError) as caught:
            check_command(given(config, setting.path, value))
        message = str(caught.value)
        assert message.startswith(f"--{setting.flag} must be ") and setting.key in message.replace("-", "_")
        assert "\n" not in message and len(message) < 200


@pytest.mark.parametrize("command", MODULES)
def test_the_defaults_are_in_range_and_the_flags_are_those_that_people_type(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    kind = config_of(command)
    check_command(kind())
    with pytest.raises(SystemExit):
        parse(kind, ["--help"], "prog")
    typed = set(re.findall(r"--[a-z0-9.-]+", capsys.readouterr().out))
    in_files = ("early-stop.", "launch.")  # sections that are left out by default
    assert not {f"--{one.flag}" for one in settings_of(kind) if not one.flag.startswith(in_files)} - typed


TYPED = [
    ("trainer.dpo", ["--learning-rate", "nan"], r"--learning-rate must be above 0, not nan \('training.learning_rate'"),
    ("trainer.sft", ["--learning-rate", "inf"], "--learning-rate must be above 0, not inf"),
    ("trainer.orpo", ["--learning-rate", "-1"], "--learning-rate must be above 0, not -1"),
    ("trainer.kto", ["--micro-batch-size", "1"], "--micro-batch-size must be at least 2, not 1"),
    ("trainer.ppo", ["--kl-coef", "-0.1"], "--kl-coef must be at least 0, not -0.1"),
    ("trainer.ift", ["--batch-size", "0"], "--batch-size must be at least 1, not 0"),
    ("trainer.loop", ["--candidates.n", "1"], "--candidates.n must be at least 2, not 1"),
    ("trainer.loop", ["--iterations", "0"], "--iterations must be at least 1, not 0"),
    ("trainer.loop", ["--dpo.beta", "-1"], r"--dpo.beta must be above 0, not -1.0$"),
    ("trainer.rlp", ["--synthetic.engine.timeout-s", "0"], r"--synthetic.engine.timeout-s must be above 0, not 0"),
    ("trainer.pairs", ["--min-margin", "nan"], "--min-margin must be at least 0, not nan"),
    ("trainer.eft", ["--ift-share", "1"], r"--ift-share must be in \[0, 1\), not 1"),
    ("judges.score", ["--max-new-tokens", "-1"], "--max-new-tokens must be at least 1, not -1"),
    ("judges.score", ["--temperature", "nan"], "--temperature must be at least 0, not nan"),
    ("judges.score", ["--top-p", "2"], r"--top-p must be in \(0, 1\], not 2"),
    ("judges.compare", ["--concurrency", "0"], r"--concurrency must be at least 1, not 0 \('engine.concurrency' in a"),
    (
        "judges.compare",
        ["--limit", "9" * 40],
        "--limit must be at most 1000000000, not a number of more",
    ),
    ("judges.best_of", ["--seed", "-1"], "--seed must be at least 0"),
    ("evals.alpaca", ["--judge-top-p", "0"], r"--judge-top-p must be in \(0, 1\], not 0"),
]


@pytest.mark.parametrize(("command", "words", "message"), TYPED, ids=[f"{one[0]}{one[1][0]}" for one in TYPED])
def test_a_typed_number_out_of_range_ends_the_parsing(command: str, words: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse(config_of(command), words, "prog")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[sft]\nlearning_rate = nan", r"--sft.learning-rate must be above 0, not nan \('sft.learning_rate' in a conf"),
        ("[engine]\nbatch_size = 0", r"--batch-size must be at least 1, not 0 \('engine.batch_size' in a config file"),
        ("[new_prompts.few_shot]\ntop_p = inf", r"--new-prompts.few-shot.top-p must be in \(0, 1\], not inf"),
        ("[early_stop]\npatience = 0", r"--early-stop.patience must be at least 1, not 0"),
        ("[gates]\nkl = {max = nan}", r"\[gates\]: 'kl' has max nan"),
    ],
)
def test_a_config_file_is_held_to_the_same_ranges(tmp_path: Path, text: str, message: str) -> None:
    from trainer.loop.recipe import check

    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(InputError, match=message):
        check(parse(config_of("trainer.loop"), ["--config", str(tmp_path / "c.toml")], "prog"))


@dataclasses.dataclass(frozen=True)
class Part:
    sizes: tuple[Count, ...] = (1,)
    share: Share | None = None
    plain: float = 0.0


def test_a_library_function_names_the_setting_and_each_number_of_several_is_checked() -> None:
    check_ranges(Part((1, 2), 0.5))
    for part, message in [
        (Part((1, 0)), "sizes must be at least 1, not 0"),
        (Part(share=math.nan), r"share must be in \[0, 1\], not nan"),
        (Part(plain=-math.inf), "plain must be a finite number, not -inf"),
    ]:
        with pytest.raises(InputError, match=message):
            check_ranges(part)


def test_a_range_holds_its_ends_unless_it_says_otherwise() -> None:
    assert 0 in Range(0, 1) and 1 in Range(0, 1) and MOST in Range(1, MOST)
    assert 0 not in Range(0, 1, above=True) and 1 not in Range(0, 1, below=True)
    assert math.nan not in Range() and math.inf not in Range() and 10**400 not in Range(0, MOST)
