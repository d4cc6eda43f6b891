"""Keep the best of several answers to each prompt (best-of-n): the one with the highest score.

python -m judges.best_of responses.jsonl --reward runs/rm/model        scored by a reward model
python -m judges.best_of responses.jsonl --model iter1                 scored by a judge, with the flags of judges.score
python -m judges.best_of judgments.jsonl                               scored already: no model is asked

FILE has several answers to each prompt, in any order, in any format that judges.score reads; what comes out has one.
An answer without a score or a text is never the best, and a prompt without any score is left out and named. Stopped
and started again, it goes on where it was.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from console.again import starts_again
from console.command import Flags, Given, run
from console.errors import InputError
from console.output import tell_plan
from console.ranges import Count
from console.writing import OutRows
from engines.options import EngineOptions, SharedEngineOptions, pinned
from judges.options import JudgeOptions

if TYPE_CHECKING:
    from console.table import Cell
    from records import Judgment, Response, Store

OUT = Path("runs/best_of")
SHOWN_LEFT_OUT = 10
UNNAMED_JUDGE = "the file's own scores"


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Keep the best of several answers to each prompt."""

    file: Given = None
    """Answers, several to a prompt."""
    reward: Path | None = None
    """The folder of the reward model that scores them; without it, and where FILE has no scores, a judge does."""
    engine: SharedEngineOptions = field(default_factory=EngineOptions)
    judge: Annotated[JudgeOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=JudgeOptions)
    limit: Count | None = None
    """Only the first N prompts, with all their answers."""
    out: OutRows | None = None
    """Where the best answers go, with their scores beside them (.judgments.jsonl); the default is
    runs/best_of/<file>-<digest of its path>-<key of the settings>.jsonl."""


@dataclass(frozen=True)
class Best:
    """What became of the answers."""

    responses: list["Response"]
    """One a prompt, in the order in which the prompts first come."""
    left_out: list[str]
    """The ids of the prompts of which no answer has a score."""
    n_responses: int
    n_unscored: int
    mean_best: float | None
    mean_all: float | None
    """The mean over prompts of their answers' mean score: what one answer drawn at random would have."""


@starts_again
def main(config: Config) -> None:
    """Read, score, choose, write and print a table."""
    config = replace(config, engine=pinned(config.engine))
    from console.progress import say
    from console.table import print_table
    from records import answer_key, prompt_key
    from records.files import BadRows, check_limit, take_prompts
    from records.inputs import check_out
    from records.shapes import read_responses
    from records.store import write_rows

    if config.file is None:
        raise InputError("name a file with several answers to each prompt; see --help")
    check_limit(config.limit)
    check_out(config.out, config.file)
    # Where its scores are read, too, that reading names the bad rows.
    found = read_responses(config.file, BadRows(strict=config.strict, quiet=_is_scored(config)))
    whole = list({answer_key(response): response for response in found}.values())
    responses = list(take_prompts(whole, config.limit, prompt_key))
    if config.dry_run:
        _print_plan(config, responses)
        return
    scores, judge, out = _scored(config, responses, whole)
    best = best_of(responses, scores, config.seed)
    for prompt_id in best.left_out[:SHOWN_LEFT_OUT]:
        say(f"left out: prompt {prompt_id}: none of its answers has a score")
    if (n_more := len(best.left_out) - SHOWN_LEFT_OUT) > 0:
        say(f"left out: {n_more} prompts more")
    write_rows(out, best.responses, apart=config.out is not None)
    print_table([_row(best) | {"scored by": judge, "file": str(out)}], as_json=config.json)


def best_of(responses: "Sequence[Response]", scores: "Mapping[str, float | None]", seed: int) -> Best:
    """Return the answer with the highest score to each prompt; `scores` are by `answer_key`, None for no score.

    An answer without a text has none, whatever a file says.
    Of equal scores a seeded hash decides, so that the order of the answers does not.
    """
    from statistics import fmean

    from records import answer_key, prompt_key
    from records.keys import content_key

    by_prompt: dict[str, list[tuple[float | None, Response]]] = {}
    for one in responses:
        group = by_prompt.setdefault(prompt_key(one), [])
        group.append((scores.get(answer_key(one)) if one.response.strip() else None, one))
    kept, left_out, tops, means = [], [], [], []
    for group in by_prompt.values():
        known = [(score, one) for score, one in group if score is not None]
        if not known:
            left_out.append(group[0][1].prompt_id)
            continue
        top, best = max(known, key=lambda each: (each[0], content_key("best of", seed, each[1].id, each[1].response)))
        kept.append(best)
        tops.append(top)
        means.append(fmean(score for score, _ in known))
    n_unscored = sum(score is None for group in by_prompt.values() for score, _ in group)
    mean_best, mean_all = (fmean(values) if values else None for values in (tops, means))
    return Best(kept, left_out, len(responses), n_unscored, mean_best, mean_all)


def _scored(
    config: Config, responses: "list[Response]", whole: "list[Response]"
) -> "tuple[dict[str, float | None], str, Path]":
    """Return the scores of the responses by `answer_key`, the fingerprint of the judge, and where the best ones go.

    The output is kept to the `whole` input, whatever --limit says.
    """
    from engines.options import open_engine
    from judges.judging.judge import check_coverage, has_every_reply, judge_into, open_judge
    from judges.judging.reward_model import fingerprint, judgment_id, rewards_into
    from judges.judging.settle import settle
    from records import Judgment, Store

    if _is_scored(config):
        scores, judged_by = _stored_scores(config)
        return scores, judged_by, _out(config, judged_by)
    if config.reward is not None:
        from engines.reward_model import RewardModel

        model = RewardModel.load(config.reward, str(config.reward), config.engine.batch_size)
        out = _out(config, fingerprint(model))
        with Store(_beside(out), Judgment, fresh=config.fresh) as store:
            _keep_to_input(store, [judgment_id(model, one) for one in whole], fingerprint(model), config)
            return _by_key(rewards_into(store, model, responses, "rewards")), fingerprint(model), out
    judge = open_judge(open_engine(config.engine), config.judge, config.seed)
    out = _out(config, judge.fingerprint)
    with Store(_beside(out), Judgment, keep=has_every_reply, fresh=config.fresh) as store:
        if not config.fresh:
            settle(judge, store, lambda: judge.request(responses[0]))
        _keep_to_input(store, map(judge.judgment_id, whole), judge.fingerprint, config)
        rows = judge_into(store, judge, responses, f"{judge.engine.name} judging")
    check_coverage(rows, config.judge.min_coverage)
    return _by_key(rows), judge.fingerprint, out


def _keep_to_input(store: "Store[Judgment]", ids: "Iterable[str]", judge: str, config: Config) -> None:
    from records.inputs import keep_to_input

    assert config.file is not None
    if not config.fresh:
        keep_to_input(store, lambda: ids, judge, config.file, given=config.out is not None)


def _by_key(rows: "list[Judgment]") -> "dict[str, float | None]":
    from records import answer_key

    return {answer_key(row): row.score for row in rows}


def _stored_scores(config: Config) -> "tuple[dict[str, float | None], str]":
    """Return the scores that stand in FILE, the last one of an answer, and the judge that they are from."""
    from judges.cluster.answer_sets import scored_answers
    from records import answer_key
    from records.files import BadRows

    assert config.file is not None
    found = [answer for answer in scored_answers(config.file, BadRows(strict=config.strict)) if not answer.is_side]
    if len(judges := {answer.judge or "" for answer in found}) > 1:
        raise InputError(f"{config.file}: the scores are from {len(judges)} judges and cannot be compared; keep one's")
    scores = {answer_key(one.response): one.score for one in found}
    return scores, judges.pop() or UNNAMED_JUDGE


def _is_scored(config: Config) -> bool:
    """Return whether FILE has scores and nobody is named to give others."""
    from judges.cluster.answer_sets import take_census
    from records.files import BadRows

    assert config.file is not None
    if config.reward is not None or (config.engine, config.judge) != (EngineOptions(), JudgeOptions()):
        return False
    return take_census(config.file, BadRows(quiet=True)).n_scored > 0


def _out(config: Config, judge: str) -> Path:
    from records.inputs import output_name
    from records.keys import content_key

    assert config.file is not None
    return config.out or OUT / f"{output_name(config.file)}-{content_key(judge, config.seed)}.jsonl"


def _beside(out: Path) -> Path:
    return out.with_suffix(".judgments.jsonl")


def _row(best: Best) -> "dict[str, Cell]":
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


def _print_plan(config: Config, responses: "list[Response]") -> None:
    from engines.options import check_engine
    from engines.reward_model import check_reward_model
    from judges.judging.judge import checked_rubric
    from records import prompt_key

    n_prompts = len(set(map(prompt_key, responses)))
    by = f"the reward model {config.reward}"
    if _is_scored(config):
        by = "their scores"
    elif config.reward is not None:
        check_reward_model(config.reward)
    else:
        check_engine(config.engine)
        by = f"{config.engine.model} on the rubric {checked_rubric(config.judge).name}"
    tell_plan(
        {"prompts": n_prompts, "answers": len(responses), "of": config.file, "by": by},
        f"would keep the best answer to each of {n_prompts} prompts, of {len(responses)} in {config.file}, by {by}",
        as_json=config.json,
    )


if __name__ == "__main__":
    run(Config, main, "python -m judges.best_of")
