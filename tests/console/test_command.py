import dataclasses
import importlib
import json
import os
import resource
import subprocess
import sys
import typing
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import pytest

from console.command import Flags, narrowed, parse
from console.config import load_config
from console.errors import InputError
from tests.conftest import ROOT
from tests.forks import LIBRARIES, Done, run_all, with_libraries

JUDGES = ["score", "compare", "rubrics", "rescore", "cluster", "calibrate", "attacks", "best_of"]
TRAINERS = [
    "loop", "sft", "dpo", "eft", "prompts", "pairs", "early_stop", "reward_model", "ppo", "rlp", "ift", "orpo",
    "kto", "simpo", "grpo", "runs", "frozen_lake",
]  # fmt: skip
COMMANDS = [
    *(f"judges.{name}" for name in JUDGES), *(f"trainer.{name}" for name in TRAINERS),
    "evals.alpaca", "evals.arena_hard", "evals.mt_bench", "evals.head_to_head", "evals.reward_model", "evals.open_llm",
    "tui",
]  # fmt: skip
EXPERIMENTS = ["eft", "ift_small", "round_signal", "known_truth", "rlp_truth"]
JUDGING = [
    "judges.score.scoring",
    "judges.compare.comparing",
    "judges.best_of.choosing",
    "judges.library",
    "judges.serve.serving",
]
HEAVY = {
    "torch", "transformers", "trl", "vllm", "pandas", "datasets", "openai", "scipy", "numpy", "sklearn", "matplotlib",
    "bm25s", "sentence_transformers", "math_verify", "sympy", "aiohttp", "rapidfuzz", "accelerate", "gymnasium",
    "lm_eval",
}  # fmt: skip


def python(*arguments: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, timeout=120,
        env={**os.environ, "PYTHONPATH": path, **environment},
    )  # fmt: skip


HELPED = [*COMMANDS, *(f"experiments.{name}" for name in EXPERIMENTS)]


@pytest.fixture(scope="module")
def helped() -> dict[str, Done]:
    """What each command does with --help."""
    done = run_all([(name, "--help") for name in HELPED], imports=["judges.options"])
    return dict(zip(HELPED, done, strict=True))


@pytest.mark.parametrize("command", HELPED)
def test_help_shows_the_use_and_loads_nothing_heavy(helped: dict[str, Done], command: str) -> None:
    found = helped[command]
    assert found.status == 0
    assert f"python -m {command}" in found.out.split("\n\n")[1]
    assert command.split(".")[0] in found.modules and not set(found.modules) & (HEAVY | {"textual"})


def test_a_judge_without_tools_loads_no_library_of_theirs() -> None:
    found = python("-X", "importtime", "-c", f"import {', '.join(JUDGING)}")
    assert found.returncode == 0, found.stderr
    loaded = {line.rsplit("|", 1)[1].strip().split(".")[0] for line in found.stderr.splitlines() if "|" in line}
    tools = {"sympy", "math_verify", "bm25s", "py3langid", "scipy", "numpy", "torch"}
    assert not loaded & tools, loaded & tools


@pytest.fixture(scope="module")
def bytecode(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bytecode")


def cpu_seconds(bytecode: Path, *arguments: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = python(*arguments, PYTHONDONTWRITEBYTECODE="", PYTHONPYCACHEPREFIX=str(bytecode))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert found.returncode == 0, found.stderr
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.parametrize(
    "name",
    [
        "judges.score", "trainer.eft", "evals.alpaca",
        *(pytest.param(f"evals.{name}", marks=pytest.mark.slow) for name in ("head_to_head", "reward_model")),
    ],
)  # fmt: skip
def test_help_answers_in_under_0_3_seconds(bytecode: Path, name: str) -> None:
    # From the second call on, as Python compiles each module once. In turns with an import that takes 0.08 s on a
    # machine at its usual speed: where that takes longer, so may help.
    commands = (("-m", name, "--help"), ("-c", "import unittest.mock"))
    pairs = []
    for _ in range(7):
        seconds, usual = (cpu_seconds(bytecode, *command) for command in commands)
        pairs.append((seconds, usual))
        if len(pairs) > 1 and seconds < 0.3 * max(1.0, usual / 0.08):
            return
    raise AssertionError(pairs)


@dataclass(frozen=True)
class Part:
    size: int = 1
    folder: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    name: str = "default"
    rate: float = 0.5
    part: Part = field(default_factory=Part)
    extra: Part | None = None


def test_a_section_may_be_left_out_and_is_whole_where_the_file_has_it(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text('[extra]\nfolder = "x/y"\n')
    assert parse(Config, ["--config", str(path)], "prog").extra == Part(1, Path("x/y"))
    assert parse(Config, [], "prog").extra is None


def test_a_flag_wins_over_the_file_and_the_file_over_the_default(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text('name = "file"\nseed = 7\n[part]\nsize = 2\nfolder = "x/y"\n')
    config = parse(Config, ["--config", str(path), "--name", "flag"], "prog")
    assert (config.name, config.seed, config.rate, config.part) == ("flag", 7, 0.5, Part(2, Path("x/y")))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('nmae = "x"', "unknown key 'nmae'; did you mean 'name'"),
        ("[part]\nsiez = 2", r"unknown key 'part\.siez'; did you mean 'size'"),
        ("[extra]\nsiez = 2", r"unknown key 'extra\.siez'; did you mean 'size'"),
        ("qqq = 1", "unknown key 'qqq'; known keys: "),
        ('rate = "fast"', "'rate' = 'fast': Expected `float`, got `str`"),
        ("part = 3", "'part' is a section: write \\[part\\]"),
        ("[part]\nfolder = 3", r"'part\.folder' must be a path"),
        ("name = ", "not valid TOML"),
    ],
)
def test_a_wrong_config_file_names_the_file_and_the_key(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "c.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        load_config(path, Config())
    assert str(path) in str(caught.value)


def test_a_whole_number_does_for_a_rate(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("rate = 2")
    assert load_config(tmp_path / "c.toml", Config()).rate == 2.0


MODELS = {"--model", "--base-url"}
WRONG = [
    (["missing.jsonl"], 2, "error: missing.jsonl: no such file"),
    (["empty.jsonl"], 2, "error: empty.jsonl: the file has no rows"),
    (["answers.jsonl", "--limit", "0"], 2, "error: --limit must be at least 1"),
    (["answers.jsonl", "--model", "no-such-model"], 2, "error: no model 'no-such-model'"),
    (["answers.jsonl", "--model", "iter7"], 2, "error: no run in runs/ yet"),
    (["answers.jsonl", "--rubric", "none"], 2, "error: no rubric 'none'"),
    (["answers.jsonl", "--strict"], 2, "error: answers.jsonl:2: not JSON"),
    (["answers.jsonl", "--base-url", "http://127.0.0.1:9/v1"], 1, "no server answers there"),
    (["answers.jsonl", "--config", "missing.toml"], 2, "error: missing.toml: no such config file"),
    (["answers.jsonl", "--modle", "x"], 2, "--modle"),
    (["missing.jsonl", "--debug"], 2, "Traceback"),
]


@pytest.fixture(scope="module")
def scored(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Done]]:
    """What the command does with each wrong input, and last with a right one; and the folder in which it did."""
    folder = tmp_path_factory.mktemp("scored")
    (folder / "empty.jsonl").write_text("")
    (folder / "answers.jsonl").write_text('{"prompt": "Q", "response": "A", "model": "m"}\noops\n')
    commands = [
        ("judges.score", *arguments, *([] if MODELS & set(arguments) else ["--model", str(tiny_model)]))
        for arguments in (*(wrong for wrong, _, _ in WRONG), ["answers.jsonl", "--json"])
    ]
    return folder, [with_libraries().run(command, LIBRARIES, folder) for command in commands]


@pytest.mark.parametrize("number", range(len(WRONG)), ids=[" ".join(arguments) for arguments, _, _ in WRONG])
def test_what_is_wrong_is_said_in_one_line_with_its_exit_code(scored: tuple[Path, list[Done]], number: int) -> None:
    arguments, code, message = WRONG[number]
    found = scored[1][number]
    assert found.status == code and message in found.err and found.out == ""
    assert ("Traceback" in found.err) == ("--debug" in arguments)
    errors = [line for line in found.err.splitlines() if line.startswith("error:")]
    assert len(errors) == 1 or "--modle" in arguments


@pytest.mark.parametrize(
    ("arguments", "both", "code"),
    [
        (["judges.score", "--help"], False, 0),
        (["judges.cluster", "--help"], True, 0),
        (["judges.rubrics"], False, 0),
        (["judges.score", "--no-such-flag"], False, 2),
        (["judges.score", "nothing.jsonl", "--dry-run"], False, 2),
        (["judges.score", "nothing.jsonl", "--dry-run"], True, 2),
    ],
)
def test_a_reader_who_leaves_gets_no_traceback_and_a_failure_stays_one(
    arguments: list[str], both: bool, code: int, tmp_path: Path
) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (tmp_path / "err").open("w+") as said:
        command = [sys.executable, "-m", *arguments]
        errors = write_end if both else said
        found = subprocess.run(command, cwd=tmp_path, env=environment, stdout=write_end, stderr=errors, timeout=120)
        said.seek(0)
        text = said.read()
    os.close(write_end)
    assert found.returncode == code and "Traceback" not in text and "BrokenPipe" not in text


def test_json_on_stdout_is_json_and_nothing_else(scored: tuple[Path, list[Done]]) -> None:
    folder, (*_, found) = scored
    result = json.loads(found.out)
    assert found.status == 0 and result["models"][0]["responses"] == 1
    assert (folder / result["out"]).exists() and result["judge"] in result["out"]
    assert "answers.jsonl:2: not JSON" in found.err


def true_by_default(config_type: type[Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the flag and the annotation of each setting whose flag turns it off."""
    hints = typing.get_type_hints(config_type, include_extras=True)
    for one in dataclasses.fields(config_type):
        default = one.default if one.default is not dataclasses.MISSING else None
        if one.default_factory is not dataclasses.MISSING:
            default = one.default_factory()
        if default is True:
            yield f"{prefix}no-{one.name}", hints[one.name]
        elif dataclasses.is_dataclass(default):
            yield from true_by_default(type(default), f"{prefix}{one.name}.")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_flag_that_turns_something_off_says_what_it_does(command: str) -> None:
    module = importlib.import_module(command)
    if not hasattr(module, "Config"):
        module = importlib.import_module(f"{command}.__main__")
    for flag, hint in true_by_default(module.Config):
        assert typing.get_origin(hint) is Annotated, f"{command} --{flag}: say with console.command.off what it does"


def test_the_help_of_such_a_flag_is_of_the_flag(helped: dict[str, Done]) -> None:
    shown = " ".join(helped["trainer.loop"].out.replace("│", " ").split())
    assert "--seeds.no-judging Do not learn to judge" in shown and "(default: this is done)" in shown


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('model = "x"\n', r"unknown key 'model'; 'model' is written under \[engine\]"),
        ("max-new-tokens = 3\n", r"unknown key 'max-new-tokens'; 'max_new_tokens' is written under \[judge\]"),
        ("[engine]\nlimit = 3\n", r"unknown key 'engine\.limit'; 'limit' is written above the first \[section\]"),
        ("[engine]\nrubric = 'x'\n", r"unknown key 'engine\.rubric'; 'rubric' is written under \[judge\]"),
        ("[judge]\nsampels = 3\n", r"unknown key 'judge\.sampels'; did you mean 'samples'\?"),
        ("sampels = 3\n", r"unknown key 'sampels'; did you mean 'samples' under \[judge\]\?"),
        ("zzzz = 3\n", r"known keys: .*\[engine\].*\[judge\].*limit"),
    ],
)
def test_a_key_in_the_wrong_section_says_which_is_right(tmp_path: Path, text: str, message: str) -> None:
    from judges.score.options import Config

    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(InputError, match=message):
        load_config(tmp_path / "c.toml", Config())


def test_a_section_that_may_be_absent_is_named_too(tmp_path: Path) -> None:
    from trainer.loop.recipe import Config

    (tmp_path / "c.toml").write_text("patience = 3\n")
    with pytest.raises(InputError, match=r"'patience' is written .*under \[early_stop\]"):
        load_config(tmp_path / "c.toml", Config())


def test_help_of_a_flag_with_no_value_by_default_shows_only_its_kind(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(Config, ["--help"], "prog")
    assert "--part.folder PATH" in capsys.readouterr().out
    assert parse(Config, ["--part.folder", "None"], "prog").part.folder is None
    assert parse(Config, ["--part.folder", "x"], "prog").part.folder == Path("x")


def test_a_docstring_fits_a_narrow_screen_with_comments_above_their_examples() -> None:
    text = (
        "Do it.\n\npython -m x --limit 4 --out b.jsonl     first\npython -m x\n\nA line that is much too long\nfor it."
    )
    shown = "Do it.\n\n# first\npython -m x --limit 4 \\\n    --out b.jsonl\npython -m x\n\n"
    shown += "A line that is much too\nlong for it."
    assert narrowed(text, 27) == shown and narrowed(text, 80) == text
    assert narrowed("- a list of things to do\n- and more", 10) == "- a list of things to do\n- and more"
