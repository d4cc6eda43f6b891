"""Loads questions, reference answers and a baseline, and checks that they fit before anything is asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from console.errors import InputError
from console.progress import say
from evals.comparing.naming import listed
from evals.mt_bench.benchmark import HOW_TO_GET, WITH_REFERENCE
from evals.mt_bench.files.questions import Answers, Question, check_answers, is_whole, read_answers, read_questions
from evals.mt_bench.options import Config
from records.files import BadRows, take

ENDINGS = (".jsonl", ".jsonl.gz")


@dataclass(frozen=True)
class Benchmark:
    """The questions, the reference answers to some of them, and the baseline's answers to all (pair)."""

    questions: list[Question]
    references: Mapping[str, tuple[str | None, ...]]
    baseline: Answers | None
    source: Path
    """The file of the questions."""


def load_benchmark(config: Config) -> Benchmark:
    """Return what the flags name.

    Raises InputError if a file is missing, with the way to get it, if a question that is judged beside a reference has
    none, or if the baseline lacks an answer.
    """
    bad = BadRows(strict=config.strict)
    path = questions_path(config)
    if path is None:
        raise InputError(f"no questions: give --data or --questions; {HOW_TO_GET.format(config.bench)}")
    questions = list(take(read_questions(path, config.bench, bad), config.limit))
    references = _references(config, questions, bad)
    baseline = None
    if config.mode == "pair":
        if config.baseline is None:
            raise InputError("--mode pair compares with a baseline: give its answers with --baseline FILE")
        baseline = read_answers(config.baseline, bad)
        check_answers(baseline, questions, "the baseline")
    return Benchmark(questions, references, baseline, path)


def load_own_answers(config: Config, benchmark: Benchmark) -> Answers | None:
    """Return the answers of --answers, or None if --model is to answer.

    Raises InputError if they answer none of the questions, or are the baseline's.
    """
    if config.answers is None:
        return None
    answers = read_answers(config.answers, BadRows(strict=config.strict))
    whole = [q for q in benchmark.questions if is_whole(answers.by_id.get(q.id, ()), q)]
    if not whole:
        raise InputError(f"{answers.path}: no whole answer to any of the {len(benchmark.questions)} questions")
    check_other(answers.model, benchmark)
    if len(whole) < len(benchmark.questions):
        ids = [question.id for question in benchmark.questions if question not in whole]
        n = f"{len(ids)} of {len(benchmark.questions)} questions"
        say(f"{answers.path}: no answer, or an empty or null one, to a turn of {n}: {listed(ids)}")
    return answers


def check_other(model: str, benchmark: Benchmark) -> None:
    """Raise InputError if the model is the baseline."""
    if benchmark.baseline is not None and benchmark.baseline.model == model:
        raise InputError(f"{model} is the baseline: a model is not compared with itself")


def questions_path(config: Config) -> Path | None:
    """Return the file of the questions, or None if no flag names one."""
    return config.questions or _in_data(config, "question")


def _references(config: Config, questions: Sequence[Question], bad: BadRows) -> Mapping[str, tuple[str | None, ...]]:
    needed = [question for question in questions if question.category in WITH_REFERENCE]
    if not needed or config.judge.judge_rubric:
        return {}
    path = config.references or _only_file(config)
    if path is None:
        what = f"{len(needed)} questions on {', '.join(WITH_REFERENCE)} are judged beside reference answers"
        raise InputError(f"{what}: give --data or --references; {HOW_TO_GET.format(config.bench)}")
    references = read_answers(path, bad)
    check_answers(references, needed, "the reference")
    return references.by_id


def _only_file(config: Config) -> Path | None:
    """Return the only file of reference_answer/ in --data, or None. Raises InputError if there are several."""
    folder = config.data / "reference_answer" if config.data else None
    if folder is None or not folder.is_dir():
        return None
    files = sorted(path for path in folder.iterdir() if path.name.endswith(ENDINGS))
    if len(files) > 1:
        names = listed([path.name for path in files])
        raise InputError(f"{folder}: {len(files)} files of reference answers ({names}); name one with --references")
    return files[0] if files else None


def _in_data(config: Config, name: str) -> Path | None:
    if config.data is None:
        return None
    if not config.data.is_dir():
        raise InputError(f"--data {config.data}: no such folder; it has question.jsonl and reference_answer/")
    return next((path for ending in ENDINGS if (path := config.data / f"{name}{ending}").exists()), None)
