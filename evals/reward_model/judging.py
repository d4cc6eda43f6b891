"""Judgments of ranked answers: asked of a judge or a reward model, or read from a file."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from console.errors import InputError
from console.progress import say
from engines.options import EngineOptions, open_engine
from evals.reward_model.implicit import gives_rewards, open_implicit, policy_of
from evals.reward_model.options import Config, name_of, results_of
from evals.reward_model.report import Judged
from judges.judging.coverage import say_little_mass
from judges.judging.judge import has_every_reply, judge_into, open_judge
from judges.judging.reward_model import READ, WaitingRewardModel, fingerprint, reward_folder, rewards_into
from judges.judging.settle import settle
from judges.labelled.ranked import RankedAnswers, responses_to
from judges.options import Aggregate
from judges.panels.panel import Member, panel_fingerprint
from judges.parsing.verdict import aggregated
from judges.rubrics.checked import on_scale
from judges.rubrics.rubric import load_rubric, rubric_names
from records import Judgment, Response, Store, text_of
from records.fields.typed import read_typed
from records.files import BadRows
from records.inputs import stem_of


def ask_judge(config: Config, ranked: Sequence[RankedAnswers], judge: Member) -> Judged:
    """Return the scores of one judge, asking only for those that are not stored yet. Its model is then released."""
    engine_options, judge_options = judge
    if gives_rewards(engine_options):
        return _ask_reward_model(config, ranked, engine_options)
    opened = open_judge(open_engine(engine_options), judge_options, config.seed)
    name = opened.engine.name
    path = results_of(config, engine_options) / f"{name_of(config)}-{opened.fingerprint}.jsonl"
    with Store(path, Judgment, keep=has_every_reply, fresh=config.fresh) as store:
        if not config.fresh:
            settle(opened, store, lambda: opened.request(distinct_responses(ranked)[0]))
        rows = judge_into(store, opened, distinct_responses(ranked), f"{name} judging {stem(config)}")
    say_little_mass(rows, name)
    return _judged_by(name, ranked, rows, opened.rubric.scale[1], path)


def _ask_reward_model(config: Config, ranked: Sequence[RankedAnswers], options: EngineOptions) -> Judged:
    """Return the rewards of a reward model or of a policy, which have no best value."""
    policy = policy_of(options)
    folder = reward_folder(options) or Path(options.model)
    model = open_implicit(policy, config.dpo) if policy else WaitingRewardModel(folder, options.model, options)
    path = results_of(config, policy or options) / f"{name_of(config)}-{fingerprint(model)}.jsonl"
    with Store(path, Judgment, fresh=config.fresh) as store:
        rows = rewards_into(store, model, distinct_responses(ranked), f"{options.model} scoring {stem(config)}")
    return _judged_by(model.name, ranked, rows, None, path)


def distinct_responses(ranked: Sequence[RankedAnswers]) -> list[Response]:
    """Return the answers as the rows that a judge reads."""
    # each once: a text can stand under a prompt several times
    return list({response.id: response for answers in ranked for response in responses_to(answers)}.values())


def read_judgments(config: Config, ranked: Sequence[RankedAnswers], path: Path) -> Judged:
    """Return the scores in a file. An answer that the file does not have counts as one without a score."""
    rows = list(map(on_scale, read_typed(path, Judgment, BadRows(strict=config.strict))))
    if len(judges := {judgment.judge for judgment in rows}) > 1:
        raise InputError(f"{path}: judgments by {len(judges)} judges; give a file of one")
    if rows[0].read == READ:  # rewards, which have no rubric
        return _judged_by(path.stem, ranked, rows, None, path)
    texts = {(text_of(answers.prompt), response) for answers in ranked for response in answers.responses}
    if n_others := sum((text_of(judgment.prompt), judgment.response) not in texts for judgment in rows):
        say(f"{path}: {n_others} of {len(rows)} judgments are on none of the ranked answers, and are left out")
    # a rubric from a user's file is not known by its name; then --rubric has the scale
    known = rows[0].rubric in rubric_names()
    top = load_rubric(rows[0].rubric if known else config.judging.rubric).scale[1]
    return _judged_by(path.stem, ranked, rows, top, path)


def _judged_by(
    name: str, ranked: Sequence[RankedAnswers], rows: Sequence[Judgment], top: float | None, path: Path
) -> Judged:
    by_text: dict[tuple[str, str], Judgment] = {}
    for judgment in sorted(rows, key=lambda judgment: (judgment.id, judgment.score is not None)):  # scored ones last
        # An answer has several rows if it was judged again or if two models wrote the same text. A row with a score
        # counts, and which one does not depend on their order. Of the rows with one id the last counts.
        key = text_of(judgment.prompt), judgment.response
        if key not in by_text or by_text[key].score is None or by_text[key].id == judgment.id:
            by_text[key] = judgment
    judgments = [[by_text.get((text_of(answers.prompt), text)) for text in answers.responses] for answers in ranked]
    if not any(judgment for of_prompt in judgments for judgment in of_prompt):
        raise InputError(f"{path}: has no judgment on any of the ranked answers; their texts must be the same")
    reasons = Counter(
        judgment.error or "unknown" if judgment else "the file has no judgment on the answer"
        for of_prompt in judgments
        for judgment in of_prompt
        if judgment is None or judgment.score is None
    )
    scores = [[judgment.score if judgment else None for judgment in of_prompt] for of_prompt in judgments]
    return Judged(name, rows[0].judge, rows[0].rubric, rows[0].read, top, scores, reasons, str(path))


def panel_of(judges: Sequence[Judged], rule: Aggregate | None, quorum: int | None) -> Judged:
    """Return the scores of all judges together, by default their mean. A judge without a score has no vote."""
    fingerprint = panel_fingerprint([judge.fingerprint for judge in judges], rule, quorum)
    needed = quorum or len(judges) // 2 + 1
    scores = [
        [together(by_judge, rule, needed) for by_judge in zip(*of_prompt, strict=True)]
        for of_prompt in zip(*(judge.scores for judge in judges), strict=True)
    ]
    n_silent = sum(score is None for of_prompt in scores for score in of_prompt)
    reasons = Counter({f"fewer than {needed} judges have a score": n_silent} if n_silent else {})
    first = judges[0]
    return Judged(
        f"a panel of {len(judges)}", fingerprint, first.rubric, "panel", first.top, scores, reasons, first.path
    )


def together(scores: Sequence[float | None], rule: Aggregate | None, needed: int) -> float | None:
    """Return the judges' `scores` of an answer as one, or None if fewer than `needed` of them have one."""
    known = [score for score in scores if score is not None]
    return aggregated(known, rule or "mean") if len(known) >= needed else None


def with_distinct_names(judges: Sequence[Judged]) -> list[Judged]:
    """Return the judges under distinct names. Raises InputError if two of them are the same judge."""
    names = [judge.name for judge in judges]
    # the path too, because stored judgments of one judge may be of two runs
    if len({(judge.fingerprint, judge.path) for judge in judges}) < len(judges):
        raise InputError("two of the judges are the same: nothing that changes a verdict differs between them")
    return [
        judge
        if names.count(judge.name) == 1
        else replace(judge, name=f"{judge.name} ({judge.rubric}, {judge.read}, {judge.fingerprint[:4]})")
        for judge in judges
    ]


def stem(config: Config) -> str:
    """Return the name of the file of ranked answers without its ending."""
    return stem_of(config.file) if config.file else ""
