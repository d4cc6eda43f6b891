"""Whose claims are checked: models that answer prompts, and files of answers."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from console.errors import InputError
from console.visible import one_line
from engines.options import EngineOptions, check_engine, open_engine, pinned
from engines.protocol import Sampling
from evals.comparing.answer_files import is_file, read_answer_file
from evals.comparing.asking import Asking, ask_answers
from evals.comparing.matching import key_alone, key_of, stripped
from evals.comparing.there import answers_there
from evals.factuality.options import BENCHMARK, Config
from evals.folders import results_folder
from judges.options import JudgeOptions
from judges.panels.panel import member_named
from records import Prompt, Response
from records.files import BadRows, take
from records.inputs import output_name
from records.names import folder_name
from records.runs import RUNS, find_run
from records.shapes import read_prompts

ANSWERS = "responses.jsonl"


@dataclass(frozen=True)
class Side:
    """A model that answers the prompts, or the answers of a file."""

    name: str
    folder: Path
    """The folder of its results."""
    options: EngineOptions | None = None
    answers: dict[str, Response] | None = None
    """Those of a file, by the text of their prompt."""


def read_sides(config: Config) -> list[Side]:
    """Return the models and files that the flags name. Raises InputError if there is none, or two have one name."""
    names = list(config.models) or ([config.engine.model] if config.engine.model else [])
    run = config.engine.run
    if not names:
        newest = find_run(run)
        run = str(newest.folder)
        names = [f"iter{number}" for number in newest.iterations() if newest.model(number).exists()]
    sides = [_of_file(Path(name), config) if is_file(name) else _of_model(name, run, config) for name in names]
    for name, n in Counter(side.name for side in sides).items():
        if n > 1:
            raise InputError(f"two models are called {one_line(name)}: name each once, under different names")
    if config.prompts is None and any(side.options is not None for side in sides):
        raise InputError("name the prompts that the models answer: --prompts prompts.jsonl")
    return sides


def read_questions(config: Config) -> list[Prompt] | None:
    """Return the prompts of --prompts, or None without it. Raises InputError if two have one text."""
    if config.prompts is None:
        return None
    prompts = list(take(read_prompts(config.prompts, BadRows(strict=config.strict)), config.limit))
    for key, n in Counter(_key(prompt) for prompt in prompts).items():
        if n > 1:
            raise InputError(f"{config.prompts}: {n} rows have the prompt '{one_line(key)[:60]}'; leave one")
    return prompts


def answers_of(side: Side, prompts: Sequence[Prompt] | None, config: Config) -> dict[str, Response]:
    """Return a side's answers without their reasoning, by their prompt's text. Models are asked for missing answers."""
    if side.options is None:
        known = side.answers or {}
        if prompts is None:
            return dict(list(known.items())[: config.limit])
        found = {_key(prompt): known.get(_key(prompt)) or known.get(key_alone(prompt)) for prompt in prompts}
        return {key: answer for key, answer in found.items() if answer is not None}
    assert prompts is not None
    asking = Asking(config.seed, config.fresh, config.scale)
    engine = open_engine(side.options)
    rows = ask_answers(engine, side.options, prompts, _sampling(config), side.folder / ANSWERS, asking)
    key_by_id = {prompt.id: _key(prompt) for prompt in prompts}
    return {key_by_id[row.prompt_id]: stripped(row) for row in rows}


def n_there(side: Side, prompts: Sequence[Prompt] | None, config: Config) -> int:
    """Return how many answers a side's file has, or its model has written before. Nothing is asked."""
    if side.options is None or prompts is None:
        return len(answers_of(side, prompts, config))
    path = side.folder / ANSWERS
    there = answers_there(side.options, prompts, _sampling(config), path, seed=config.seed, fresh=config.fresh)
    return len(there)


def questions_of(prompts: Sequence[Prompt] | None, answers: dict[str, dict[str, Response]]) -> list[str]:
    """Return the texts of the prompts: those of --prompts, or all that a file answers, in order."""
    if prompts is not None:
        return [_key(prompt) for prompt in prompts]
    return list(dict.fromkeys(key for of_side in answers.values() for key in of_side))


def _sampling(config: Config) -> Sampling:
    return Sampling(config.max_new_tokens, config.temperature, config.top_p)


def _key(prompt: Prompt) -> str:
    return key_of(prompt.prompt, prompt.system)


def _of_file(path: Path, config: Config) -> Side:
    file = read_answer_file(path, strict=config.strict)
    source = path if config.prompts is None else config.prompts
    return Side(file.name, RUNS / "evals" / folder_name(file.name) / _benchmark(source), answers=file.answers)


def _of_model(name: str, run: str | None, config: Config) -> Side:
    options, judging = member_named(name, config.engine, JudgeOptions())
    if judging != JudgeOptions():
        raise InputError(f"{one_line(name)}: only the settings of an engine differ by model")
    if options.run is None:
        options = replace(options, run=run)
    options = pinned(options)
    check_engine(options)
    return Side(options.model, results_folder(options, _benchmark(config.prompts)), options)


def _benchmark(source: Path | None) -> str:
    return BENCHMARK if source is None else f"{BENCHMARK}-{output_name(source)}"
