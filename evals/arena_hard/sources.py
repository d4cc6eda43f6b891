"""Loads the questions and the baselines' answers, and checks that they fit each other before anything is asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from console.errors import InputError
from console.progress import say
from evals.arena_hard.benchmark import BASELINES, HOW_TO_GET
from evals.arena_hard.files.answers import ENDINGS, Answers, check_answers, check_prompts, read_answers
from evals.arena_hard.files.questions import Question, read_questions
from evals.arena_hard.options import Config
from evals.comparing.naming import listed
from records.files import BadRows, take


@dataclass(frozen=True)
class Benchmark:
    """The questions, and the answers of each category's baseline to all of them."""

    questions: list[Question]
    baselines: dict[str, Answers]
    """By category."""
    source: Path
    """The file of the questions."""


def load_benchmark(config: Config) -> Benchmark:
    """Return the questions and baselines that the flags name.

    Raises InputError if a file is missing, with the way to get it, or if a baseline lacks an answer to a question.
    """
    bad = BadRows(strict=config.strict)
    path = config.questions or _in_data(config, "question")
    if path is None:
        raise InputError(f"no questions: give --data or --questions; {HOW_TO_GET.format(config.version)}")
    questions = list(take(read_questions(path, config.version, bad), config.limit))
    paths = _baseline_paths(config, [question.category for question in questions])
    read = {file: read_answers(file, bad) for file in dict.fromkeys(paths.values())}
    for category, file in paths.items():
        of_category = [question for question in questions if question.category == category]
        check_answers(read[file], of_category, f"{category}'s baseline")
        official = BASELINES[config.version].get(category)
        if official is not None and read[file].model != official:
            what = f"the baseline of {category} is {read[file].model}, not {official}"
            say(f"{what}: the scores do not compare with Arena-Hard's")
    return Benchmark(questions, {category: read[file] for category, file in paths.items()}, path)


def load_own_answers(config: Config, benchmark: Benchmark) -> Answers | None:
    """Return the answers of --answers, or None if --model is to answer.

    Raises InputError if they are in several files, are to other prompts, or answer none of the questions.
    """
    if not config.answers:
        return None
    if len(config.answers) > 1:
        raise InputError(f"--answers names {len(config.answers)} files; one model is judged at a time")
    answers = read_answers(config.answers[0], BadRows(strict=config.strict))
    check_prompts(answers, benchmark.questions)
    texts = {q.uid: answers.by_uid[q.uid].text for q in benchmark.questions if q.uid in answers.by_uid}
    if not any((text or "").strip() for text in texts.values()):
        raise InputError(f"{answers.path}: no answer to any of the {len(benchmark.questions)} questions")
    check_other(answers.model, benchmark.baselines)
    if missing := [question.uid for question in benchmark.questions if texts.get(question.uid) is None]:
        say(f"{answers.path}: no answer to {len(missing)} of {len(benchmark.questions)} questions: {listed(missing)}")
    if empty := [uid for uid, text in texts.items() if text is not None and not text.strip()]:
        say(f"{answers.path}: {len(empty)} answers are empty and are judged as they are: {listed(empty)}")
    return answers


def check_other(model: str, baselines: Mapping[str, Answers]) -> None:
    """Raise InputError if the model is a baseline itself."""
    for category, baseline in baselines.items():
        if baseline.model == model:
            raise InputError(f"{model} is the baseline of {category}: its score is 50 by definition")


def _baseline_paths(config: Config, categories: Sequence[str]) -> dict[str, Path]:
    """Return the file of each category's baseline."""
    given: dict[str, Path] = {}
    for word in config.baseline:
        category, _, file = word.rpartition("=") if word.partition("=")[0] in categories else ("", "", word)
        if category in given:
            raise InputError(f"--baseline names two files{f' for {category}' if category else ''}; keep one of them")
        given[category] = Path(file)
    paths: dict[str, Path] = {}
    missing: list[str] = []
    for category in dict.fromkeys(categories):
        official = BASELINES[config.version].get(category)
        path = given.get(category) or given.get("") or (_in_data(config, f"model_answer/{official}"))
        if path is None:
            missing.append(f"{official or 'the baseline'} ({category})")
        else:
            paths[category] = path
    if missing:
        how = HOW_TO_GET.format(config.version)
        raise InputError(f"no answers of {listed(missing)}: give --data, or --baseline CATEGORY=FILE; {how}")
    return paths


def _in_data(config: Config, name: str) -> Path | None:
    """Return a file in --data, or None if there is none or no --data."""
    if config.data is None:
        return None
    if not config.data.is_dir():
        raise InputError(f"--data {config.data}: no such folder; it has question.jsonl and model_answer/")
    paths = (config.data / f"{name}{ending}" for ending in ENDINGS)
    return next((path for path in paths if path.exists()), None)
