"""Scores the answers of a file if it has no scores, keeps the best one to each prompt, and prints a table."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from console.errors import InputError
from console.output import tell_plan
from console.progress import say
from console.table import Cell, print_table
from engines.options import check_engine, open_engine, pinned
from engines.reward_model import check_reward_model
from judges.best_of.best import Best, best_of, best_of_groups
from judges.best_of.options import Config
from judges.cluster.answer_sets import read_rewards, take_census
from judges.judging.coverage import check_coverage
from judges.judging.judge import open_judge
from judges.judging.reward_model import WaitingRewardModel, fingerprint, judgment_id, rewards_into
from judges.judging.settle import settle
from judges.rubrics.checked import checked_rubric
from judges.tools.evidence import (
    NO_MODEL,
    calls_for_claims,
    calls_for_constraints,
    judge_checked_into,
    was_checked,
    with_tools,
)
from judges.tools.options import check_options, given_names, say_unused
from records import Judgment, Response, Store, answer_key, prompt_key
from records.disk import DiskRows, GroupedRows
from records.files import BadRows, check_limit, take_prompts
from records.inputs import check_out, judged_key, keep_to_input, output_name
from records.keys import content_key
from records.shapes import read_responses
from records.store import write_rows

OUT = Path("runs/best_of")
SHOWN_LEFT_OUT = 10
UNNAMED_JUDGE = "the file's own scores"


def keep_best(config: Config) -> None:
    """Read, score, choose, write and print a table."""
    say_unused(config.evidence, config.engine, config.judge)
    config = replace(config, engine=pinned(config.engine))
    if config.file is None:
        raise InputError("name a file with several answers to each prompt; see --help")
    check_limit(config.limit)
    check_out(config.out, config.file)
    found = _best_by_stored_scores(config) if _is_scored(config) else _best_by_judge(config)
    if found is None:
        return
    best, scored = found
    for prompt_id in best.left_out[:SHOWN_LEFT_OUT]:
        say(f"left out: prompt {prompt_id}: none of its answers has a score")
    if (n_more := len(best.left_out) - SHOWN_LEFT_OUT) > 0:
        say(f"left out: {n_more} more prompts")
    write_rows(scored.out, best.responses, apart=config.out is not None)
    print_table([_row(best) | {"scored by": scored.judge, "file": str(scored.out)}], as_json=config.json)


@dataclass(frozen=True)
class _Scored:
    """The scores of the responses, and who gave them."""

    scores: Mapping[str, float | None]
    """By `answer_key`."""
    judge: str
    """The fingerprint."""
    out: Path
    """The output file of this judge."""


def _best_by_stored_scores(config: Config) -> tuple[Best, _Scored] | None:
    """Return the best answers by the scores in FILE, or None after printing the plan. The rows stay on disk."""
    assert config.file is not None
    answers = GroupedRows(Response, config.limit)
    # The file is read for its scores too, and that reading names the bad rows.
    for response in read_responses(config.file, BadRows(strict=config.strict, quiet=True)):
        answers.put(response, prompt_key(response), answer_key(response))
    if config.dry_run:
        _print_plan(config, sum(1 for _ in answers.groups()), len(answers), "their scores", {})
        return None
    found = read_rewards(config.file, BadRows(strict=config.strict))
    if len(found.judges) > 1:
        raise InputError(
            f"{config.file}: the scores of {len(found.judges)} judges cannot be compared; keep those of one judge"
        )
    [judge] = found.judges
    scored = _Scored(found.scores, judge or UNNAMED_JUDGE, _out(config, judge or UNNAMED_JUDGE))
    return best_of_groups(answers.groups(), found.scores, config.seed, DiskRows(Response)), scored


def _best_by_judge(config: Config) -> tuple[Best, _Scored] | None:
    """Return the best answers by a judge or a reward model, or None after printing the plan."""
    assert config.file is not None
    answers = read_responses(config.file, BadRows(strict=config.strict))
    whole = list({answer_key(response): response for response in answers}.values())
    responses = list(take_prompts(whole, config.limit, prompt_key))
    if config.dry_run:
        _print_judging_plan(config, responses)
        return None
    scored = _scored(config, responses, whole)
    return best_of(responses, scored.scores, config.seed), scored


def _scored(config: Config, responses: list[Response], whole: list[Response]) -> _Scored:
    """Return the scores of the responses. The output is kept to the `whole` input, whatever --limit is."""
    if config.reward is not None:
        model = WaitingRewardModel(config.reward, str(config.reward), config.engine)
        out = _out(config, fingerprint(model))
        with Store(_beside(out), Judgment, fresh=config.fresh) as store:
            ids = [judgment_id(model, response) for response in whole]
            _keep_to_ids(store, ids, fingerprint(model), config, whole)
            return _Scored(_by_key(rewards_into(store, model, responses, "rewards")), fingerprint(model), out)
    engine = open_engine(config.engine) if config.evidence.needs_model else NO_MODEL
    judge, agent = with_tools(open_judge(engine, config.judge, config.seed), config.evidence)
    out = _out(config, judge.fingerprint)
    with Store(_beside(out), Judgment, keep=was_checked, fresh=config.fresh) as store:
        if not config.fresh:
            settle(judge, store, lambda: judge.request(responses[0]))
        _keep_to_ids(store, map(judge.judgment_id, whole), judge.fingerprint, config, whole)
        title = f"{judge.engine.name} judging" if judge.is_asked else "judging"
        judgments = judge_checked_into(store, judge, agent, responses, title, fresh=config.fresh)
    check_coverage(judgments, config.judge.min_coverage)
    return _Scored(_by_key(judgments), judge.fingerprint, out)


def _keep_to_ids(
    store: Store[Judgment], ids: Iterable[str], judge: str, config: Config, whole: Sequence[Response]
) -> None:
    assert config.file is not None
    if not config.fresh:
        given, answers = config.out is not None, map(judged_key, whole)
        keep_to_input(store, lambda: ids, judge, config.file, given=given, answers=lambda: answers)


def _by_key(judgments: list[Judgment]) -> dict[str, float | None]:
    return {answer_key(judgment): judgment.score for judgment in judgments}


def _is_scored(config: Config) -> bool:
    """Return whether the scores in FILE are used: it has some, and the flags name no other judge. Say so if not."""
    assert config.file is not None
    if config.reward is not None:
        return False
    given = [*given_names(config.engine), *given_names(config.judge), *given_names(config.evidence)]
    named = [name for name in given if name != "min_coverage"]  # it asks for verdicts, but of no judge
    n_scored = take_census(config.file, BadRows(quiet=True)).n_scored
    who = config.engine.model if config.evidence.asks_rubric else "a program"
    if not n_scored:
        say(f"{config.file}: no answer has a score, so {who} scores them")
    elif named:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in named)
        say(f"{config.file}: its {n_scored} scores are not used, because {flags} asks for new ones: {who} gives them")
    return n_scored > 0 and not named


def _out(config: Config, judge: str) -> Path:
    assert config.file is not None
    return config.out or OUT / f"{output_name(config.file)}-{content_key(judge, config.seed)}.jsonl"


def _beside(out: Path) -> Path:
    return out.with_suffix(".judgments.jsonl")


def _row(best: Best) -> dict[str, Cell]:
    n_prompts = len(best.responses) + len(best.left_out)
    return {
        "prompts": n_prompts,
        "answers": best.n_responses,
        "n": best.n_responses / n_prompts,
        "unscored": best.n_unscored,
        "left out": len(best.left_out),
        "mean score of the best": best.mean_best,
        "of all": best.mean_all,
    }


def _print_plan(config: Config, n_prompts: int, n_answers: int, by: str, calls: Mapping[str, int]) -> None:
    """Print which answers would be kept by what, and the most calls that come before the scores."""
    would = f"would keep the best answer to each of {n_prompts} prompts, of {n_answers} in {config.file}, by {by}"
    if n_most := calls.get("calls_for_constraints"):
        would += f", after up to {n_most} calls to {config.engine.model} for the constraints, one per different prompt"
    if n_most := calls.get("calls_for_claims"):
        would += f", after up to {n_most} calls to {config.engine.model} for the tools and claims, mostly far fewer"
    plan = {"prompts": n_prompts, "answers": n_answers, "of": config.file, "by": by, **calls}
    tell_plan(plan, would, as_json=config.json)


def _print_judging_plan(config: Config, responses: list[Response]) -> None:
    """Print the plan of a file without scores. Raises InputError or EngineError for what the command would refuse."""
    calls: dict[str, int] = {}
    if config.reward is not None:
        check_reward_model(config.reward)
        by = f"the reward model {config.reward}"
    else:
        if config.evidence.enabled:
            check_options(config.evidence)
            calls |= calls_for_claims(config.evidence, len(responses))
        if config.evidence.needs_model:
            check_engine(config.engine)
        who = config.engine.model if config.evidence.asks_rubric else "the constraints alone"
        by = f"{who} on the rubric {checked_rubric(config.judge).name}"
        calls = calls_for_constraints(config.evidence, (response.prompt for response in responses)) | calls
    _print_plan(config, len(set(map(prompt_key, responses))), len(responses), by, calls)
