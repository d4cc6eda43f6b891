"""The plan of an evaluation with Arena-Hard: the answers and games to ask for, and those that are there already."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from console.flags import about_judge
from console.output import tell, tell_json
from engines.answers import unwritten
from engines.options import check_engine, open_engine
from evals.arena_hard.benchmark import rubrics_of
from evals.arena_hard.files.answers import Answers
from evals.arena_hard.files.judgments import judges_of
from evals.arena_hard.options import Config
from evals.arena_hard.scoring.battles import Judged
from evals.arena_hard.sources import Benchmark, check_other
from evals.arena_hard.stages import comparisons_path, contests_of, open_judges, prompts_of, sampling_of
from judges.judging.pairwise import both_orders_answered, comparison_id
from records import Comparison, Response, read_rows


def print_plan(config: Config, benchmark: Benchmark, own: Answers | None, folder: Path) -> None:
    """Print the counts of a command, as text or JSON. Nothing is asked or written."""
    with about_judge():
        check_engine(config.judge.engine_options(config.engine))
    if own is None:
        check_engine(config.engine)
        check_other(config.engine.model, benchmark.baselines)
    texts = _texts_there(config, benchmark, own, folder)
    n, n_there = len(benchmark.questions), _n_judged(config, benchmark, own, texts, folder)
    categories = Counter(question.category for question in benchmark.questions)
    _print(
        {
            "questions": n,
            "from": str(benchmark.source),
            "baselines": {f"{name} ({categories[name]})": of.model for name, of in benchmark.baselines.items()},
            "model": own.model if own else config.engine.model,
            "answers": 0 if own else n - len(texts),
            "answers_there": len(texts),
            "judge_calls": 2 * ((len(texts) if own else n) - n_there),
            "judge_calls_there": 2 * n_there,
            "judge": config.judge.engine_options(config.engine).model,
            "rubrics": [Path(rubric).stem for rubric in rubrics_of(config.version, config.judge.judge_rubric)],
            "results": str(folder),
        },
        config,
    )


def print_stored_plan(judged: Sequence[Judged], config: Config) -> None:
    """Print what would be scored."""
    models = sorted({prompt.model for prompt in judged})
    source = ", ".join(map(str, config.judgments))
    plan: dict[str, Any] = {"judgments": len(judged), "from": source, "judge": " and ".join(judges_of(judged))}
    _print({**plan, "models": models, "calls": 0, "results": str(config.out) if config.out else None}, config)


def _texts_there(config: Config, benchmark: Benchmark, own: Answers | None, folder: Path) -> dict[str, str]:
    """Return the answers of a file, or those that the model has written before."""
    uids = {question.uid for question in benchmark.questions}
    if own is not None:
        return {uid: a.text for uid, a in own.by_uid.items() if uid in uids and a.text is not None}
    path = folder / "responses.jsonl"
    # a server's model without answers need not be known by what its server says of it
    if config.fresh or not path.exists():
        return {}
    engine, sampling = open_engine(config.engine), sampling_of(config)
    prompts = prompts_of(benchmark.questions)
    ids = {unwritten(engine, prompt, sampling, config.seed, 0, None).id for prompt in prompts}
    return {response.prompt_id: response.response for response in read_rows(path, Response) if response.id in ids}


def _n_judged(config: Config, benchmark: Benchmark, own: Answers | None, texts: Mapping[str, str], folder: Path) -> int:
    """Return the number of prompts whose games are asked already."""
    if config.fresh or not any(folder.glob("comparisons-*.jsonl")):
        return 0
    judges = open_judges(config, None)
    model = own.model if own else open_engine(config.engine).name
    done: set[str] = set()
    for judge in judges.by_rubric.values():
        path = comparisons_path(folder, judge)
        rows = read_rows(path, Comparison) if path.exists() else ()
        done |= {comparison.id for comparison in rows if both_orders_answered(comparison)}
    contests = contests_of(benchmark, texts, model)
    category_of = {question.uid: question.category for question in benchmark.questions}
    return sum(comparison_id(judges.of(category_of[uid], config), contest) in done for uid, contest in contests.items())


def _print(plan: Mapping[str, Any], config: Config) -> None:
    if config.json:
        tell_json(dict(plan))
        return
    for name, value in plan.items():
        shown = value
        if isinstance(value, dict):
            shown = ", ".join(f"{key} {what}" for key, what in value.items())
        elif isinstance(value, list):
            shown = ", ".join(map(str, value))
        tell(f"{name.replace('_', ' ')}: {shown}")
