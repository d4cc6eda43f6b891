"""Has models answer prompts, and checks the claims of their answers, or those of files, against a corpus."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from console.errors import InputError
from console.flags import about_judge
from console.progress import say
from engines.options import EngineOptions, check_engine, is_served, open_engine, pinned
from engines.shards.options import check_workers
from evals.factuality.figures import Figures, figures_of, states_nothing
from evals.factuality.options import PACKAGED, Config
from evals.factuality.report import CheckedBy, print_plan, print_result, write_result
from evals.factuality.sides import Side, answers_of, n_there, questions_of, read_questions, read_sides
from judges.intervals.bootstrap import resampled
from judges.judging.coverage import require_coverage
from judges.tools.agent import Agent, open_tools
from judges.tools.evidence import NO_MODEL, gather_into, open_evidence
from judges.tools.options import check_options
from judges.tools.rows import Evidence
from records import Prompt, Response
from records.files import check_limit

WINDOW = 16


def evaluate(config: Config) -> None:
    """Answer, check, and print a row for each model. Raises JudgeError if too few answers could be checked."""
    check_limit(config.limit)
    check_workers(config.scale)
    checks = config.facts.evidence_options()
    check_options(checks)
    sides = read_sides(config)
    judge = judge_of(config)
    prompts = read_questions(config)
    if config.dry_run:
        _plan(config, sides, judge, prompts)
        return
    # before the answers, so that a judge or a corpus that is not there costs none
    with about_judge():
        agent = open_tools(NO_MODEL if judge is None else open_engine(judge), checks)
    answers = {side.name: answers_of(side, prompts, config) for side in sides}
    questions = questions_of(prompts, answers)
    weights_BN = resampled(questions, config.resamples, config.seed)
    evidence = {side.name: _checked(side, agent, answers[side.name], config) for side in sides}
    k = config.facts.f1_k
    figures = [figures_of(name, questions, of_side, evidence[name], k, weights_BN) for name, of_side in answers.items()]
    checkers = [judge.model if judge else None, config.facts.nli_model if config.facts.verifier == "nli" else None]
    by = CheckedBy(" and ".join(filter(None, checkers)), agent.fingerprint, str(config.facts.corpus))
    files = [write_result(side.folder, of_side, by) for side, of_side in zip(sides, figures, strict=True)]
    print_result(figures, by, files, weights_BN, as_json=config.json)
    _require_coverage(figures, sum(map(len, answers.values())), config)


def judge_of(config: Config) -> EngineOptions | None:
    """Return the engine of the judge, or None if no judge is asked. Raises InputError for a server without a model."""
    if not config.facts.asks_judge:
        return None
    flags = config.judge
    if flags.judge_model is None:
        flags = replace(flags, judge_model=PACKAGED)
        if is_served(flags.engine_options(config.engine)):
            raise InputError("the judge is on a server: name its model there with --judge-model")
        say(f"the judge is {PACKAGED}, whose size makes it near chance; name another with --judge-model")
    return pinned(flags.engine_options(config.engine))


def _checked(side: Side, agent: Agent, answers: Mapping[str, Response], config: Config) -> dict[str, Evidence]:
    """Return the evidence on a side's answers by the prompt's text, but for answers that state nothing."""
    stating = {key: answer for key, answer in answers.items() if not states_nothing(answer)}
    rows = list(stating.values())
    with open_evidence(side.folder / "evidence.jsonl", fresh=config.fresh) as store:
        windows = [rows[start : start + WINDOW] for start in range(0, len(rows), WINDOW)]
        gather_into(store, agent, windows, len(rows), f"checking {side.name}")
        ids = {key: agent.evidence_id(answer) for key, answer in stating.items()}
        by_id = {row.id: row for row in store.chosen(ids.values())}
    return {key: by_id[row_id] for key, row_id in ids.items()}


def _plan(config: Config, sides: Sequence[Side], judge: EngineOptions | None, prompts: list[Prompt] | None) -> None:
    if judge is not None:
        with about_judge():
            check_engine(judge)
    there = {side.name: n_there(side, prompts, config) for side in sides}
    print_plan(config, sides, judge, 0 if prompts is None else len(prompts), there)


def _require_coverage(figures: Sequence[Figures], n: int, config: Config) -> None:
    reasons = sum((Counter(of_side.reasons) for of_side in figures), Counter[str]())
    least = max(config.min_coverage, 1 / max(n, 1))
    require_coverage(n - reasons.total(), n, least, what="answers could be checked", reasons=reasons)
