"""The plan of a head-to-head: the answers and verdicts to ask for, and those that are there already."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from console.flags import about_judge
from console.output import tell, tell_json
from engines.answers import unwritten
from engines.options import check_engine, is_served
from engines.protocol import Engine
from evals.comparing.answer_files import AnswerFile
from evals.comparing.judge import open_pairwise_judge
from evals.head_to_head.options import Config
from evals.head_to_head.questions import Questions, answer_in
from evals.head_to_head.sides import Model, Side
from evals.head_to_head.stages import Answers, by_question, matches_of, open_models, responses_path, sampling_of
from judges.judging.pairwise import both_orders_answered, comparison_id
from records import Comparison, Response, read_rows


def print_plan(config: Config, sides: Sequence[Side], questions: Questions, folder: Path) -> None:
    """Print the counts of a command, as text or JSON. Nothing is asked or written."""
    with about_judge():
        check_engine(config.judge.engine_options(config.engine))
    # a server's model without answers need not be known by what its server says of it
    known = [side for side in sides if isinstance(side, Model) and _is_known(side, folder)]
    engines = open_models(known)
    answers = {side.name: _answers_there(side, engines.get(side.name), questions, folder, config) for side in sides}
    matches = list(matches_of(answers, questions.all))
    judge = open_pairwise_judge(config.judge, config.engine, None, config.seed)
    path = folder / "comparisons.jsonl"
    rows = read_rows(path, Comparison) if path.exists() and not config.fresh else ()
    done = {row.id for row in rows if both_orders_answered(row)}
    n = len(matches) * len(questions.all)
    n_there = sum(
        comparison_id(judge, contest) in done for match in matches for contest in match.contests if contest is not None
    )
    n_answers_there = {
        side.name: sum(answer is not None for answer in answers[side.name].values())
        for side in sides
        if isinstance(side, Model)
    }
    plan: dict[str, Any] = {
        "models": [side.name for side in sides],
        "prompts": len(questions.all),
        "from": questions.source,
        "answers": sum(len(questions.all) - n for n in n_answers_there.values()),
        "answers_there": n_answers_there,
        "comparisons": n - n_there,
        "comparisons_there": n_there,
        "judge_calls": 2 * judge.n_calls * (n - n_there),
        "judge": config.judge.judge_model,
        "fingerprint": judge.fingerprint,
        "rubric": config.judge.judge_rubric,
        "results": str(folder),
    }
    if config.json:
        tell_json(plan)
        return
    there = ", ".join(f"{name} {n}" for name, n in n_answers_there.items()) or "all in files"
    shown = plan | {"models": ", ".join(plan["models"]), "answers_there": there}
    tell(*(f"{name.replace('_', ' ')}: {value}" for name, value in shown.items()))


def _is_known(side: Model, folder: Path) -> bool:
    return not is_served(side.options) or responses_path(folder, side).exists()


def _answers_there(side: Side, engine: Engine | None, questions: Questions, folder: Path, config: Config) -> Answers:
    """Return the answers of a file, or those that a model has written before."""
    if isinstance(side, AnswerFile):
        return {question.key: answer_in(side, question) for question in questions.all}
    path = responses_path(folder, side)
    if engine is None or config.fresh or not path.exists():
        return dict.fromkeys(question.key for question in questions.all)
    sampling = sampling_of(config)
    ids = {unwritten(engine, question.prompt, sampling, config.seed, 0, None).id for question in questions.all}
    return by_question([row for row in read_rows(path, Response) if row.id in ids], questions.all)
