"""Measure judges on answers that people ranked: the five measures of Self-Rewarding (section 3.1), with intervals.

python -m evals.reward_model runs/eft/held_out.jsonl --judge iter3
python -m evals.reward_model runs/eft/held_out.jsonl --judge iter1 --judge iter3 --run demo       paired differences
python -m evals.reward_model runs/eft/held_out.jsonl --judge big@http://localhost:8000/v1 --read text
python -m evals.reward_model runs/eft/held_out.jsonl --judge iter3 --judge runs/rm/model       and a reward model
python -m evals.reward_model trees.jsonl.gz --judgments judgments.jsonl       what is stored is measured, no judge asked

FILE has ranked answers, as for trainer.eft. Beside the judges stand two rules: the longer is better, and chance.
Stopped and started again, it goes on where it was.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from console.again import starts_again
from console.command import Flags, Given, run
from console.errors import InputError
from console.output import tell, tell_encoded, tell_plan
from console.ranges import Count
from console.writing import OutFolder
from engines.options import EngineOptions, SharedEngineOptions, is_iteration, pinned
from judges.options import JudgeOptions

if TYPE_CHECKING:
    from evals.reward_model.report import Comparison, Judged
    from judges.labelled.ranked import RankedAnswers
    from judges.panels.panel import Member
    from records import Judgment, Response

BENCHMARK = "reward_model"


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Measure judges on answers that people ranked."""

    file: Given = None
    """Ranked answers that no judge was trained on."""
    engine: SharedEngineOptions = field(default_factory=EngineOptions)
    judging: Annotated[JudgeOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=JudgeOptions)
    judge: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """A judge; again for each further one, which is then compared with the first. A name as for --model,
    NAME@http://host/v1, or a TOML file of what is not as in this command's own flags. The folder of a reward model is
    one too: it has no rubric, and no best score. The default is --model."""
    judgments: tyro.conf.UseAppendAction[tuple[Path, ...]] = ()
    """Judgments of one judge that are there already, matched by their texts; again for each further file."""
    limit: Count | None = None
    """Only the first N prompts."""
    resamples: Count = 1000
    """Bootstrap resamples for the intervals."""
    out: OutFolder | None = None
    """The folder of the results; the default is runs/<run>/evals/<model>/reward_model."""


@starts_again
def main(config: Config) -> None:
    """Read, judge, measure, write the report, and print it."""
    config = replace(config, engine=pinned(config.engine))
    from evals.reward_model.metrics import prompts_of
    from evals.reward_model.report import compared
    from judges.labelled.ranked_files import read_ranked
    from records.files import BadRows, take

    source, members = _checked(config)
    ranked = list(take(read_ranked(source, BadRows(strict=config.strict)), config.limit))
    if config.dry_run:
        _print_plan(config, ranked, members)
        return
    judged = [_asked(config, ranked, member) for member in members]
    judged += [_stored(config, ranked, path) for path in config.judgments]
    judged = _named_apart(judged)
    found = compared(ranked, prompts_of(ranked), judged, config.resamples, config.seed)
    _report(config, found)


def _asked(config: Config, ranked: "list[RankedAnswers]", member: "Member") -> "Judged":
    """Return what one judge says, asking only what is not stored yet; its model is let go again."""
    from engines.options import open_engine
    from judges.judging.judge import has_every_reply, judge_into, open_judge
    from judges.judging.reward_model import reward_folder
    from judges.judging.settle import settle
    from records import Judgment, Store

    options, judging = member
    if folder := reward_folder(options):
        return _rewarded(config, ranked, options, folder)
    judge = open_judge(open_engine(options), judging, config.seed)
    path = (config.out or _folder(options)) / f"{_name(config)}-{judge.fingerprint}.jsonl"
    with Store(path, Judgment, keep=has_every_reply, fresh=config.fresh) as store:
        if not config.fresh:
            settle(judge, store, lambda: judge.request(_responses(ranked)[0]))
        rows = judge_into(store, judge, _responses(ranked), f"{judge.engine.name} judging {_stem(config)}")
    return _judged_by(judge.engine.name, ranked, rows, judge.rubric.scale[1], path)


def _rewarded(config: Config, ranked: "list[RankedAnswers]", options: EngineOptions, folder: Path) -> "Judged":
    """Return what a reward model says, which has no best score."""
    from engines.reward_model import RewardModel
    from judges.judging.reward_model import fingerprint, rewards_into
    from records import Judgment, Store

    model = RewardModel.load(folder, options.model, options.batch_size, options.chat_template_kwargs)
    path = (config.out or _folder(options)) / f"{_name(config)}-{fingerprint(model)}.jsonl"
    with Store(path, Judgment, fresh=config.fresh) as store:
        rows = rewards_into(store, model, _responses(ranked), f"{model.name} scoring {_stem(config)}")
    return _judged_by(model.name, ranked, rows, None, path)


def _responses(ranked: "list[RankedAnswers]") -> "list[Response]":
    from judges.labelled.ranked import responses_to

    return list({response.id: response for one in ranked for response in responses_to(one)}.values())


def _stored(config: Config, ranked: "list[RankedAnswers]", path: Path) -> "Judged":
    """Return what a file says; an answer that it does not have counts as one without a score."""
    from console.progress import say
    from judges.judging.reward_model import READ
    from judges.rubrics.rubric import load_rubric, rubric_names
    from records import Judgment, text_of
    from records.fields.typed import read_typed
    from records.files import BadRows

    rows = list(read_typed(path, Judgment, BadRows(strict=config.strict)))
    if len(judges := {row.judge for row in rows}) > 1:
        raise InputError(f"{path}: judgments by {len(judges)} judges; give a file of one")
    if rows[0].read == READ:
        return _judged_by(path.stem, ranked, rows, None, path)
    answers = {(text_of(one.prompt), response) for one in ranked for response in one.responses}
    if n_others := sum((text_of(row.prompt), row.response) not in answers for row in rows):
        say(f"{path}: {n_others} of {len(rows)} judgments are on none of the ranked answers, and are left out")
    known = rows[0].rubric in rubric_names()
    top = load_rubric(rows[0].rubric if known else config.judging.rubric).scale[1]
    return _judged_by(path.stem, ranked, rows, top, path)


def _judged_by(
    name: str, ranked: "list[RankedAnswers]", rows: "list[Judgment]", top: float | None, path: Path
) -> "Judged":
    from collections import Counter

    from evals.reward_model.report import Judged
    from records import text_of

    by_text: dict[tuple[str, str], Judgment] = {}
    for row in sorted(rows, key=lambda row: (row.id, row.score is not None)):
        # An answer may have several rows: it was asked about again, or two models wrote the same. One with a score
        # counts, and which one does not depend on their order; of one id it is the last.
        key = text_of(row.prompt), row.response
        if key not in by_text or by_text[key].score is None or by_text[key].id == row.id:
            by_text[key] = row
    found = [[by_text.get((text_of(one.prompt), response)) for response in one.responses] for one in ranked]
    if not any(row for one in found for row in one):
        raise InputError(f"{path}: has no judgment on any of the ranked answers; their texts must be the same")
    reasons = Counter(
        row.error or "unknown" if row else "the file has no judgment on the answer"
        for one in found
        for row in one
        if row is None or row.score is None
    )
    scores = [[row.score if row else None for row in one] for one in found]
    return Judged(name, rows[0].judge, rows[0].rubric, rows[0].read, top, scores, reasons, str(path))


def _named_apart(judged: "list[Judged]") -> "list[Judged]":
    """Return the judges under names that differ; raises InputError where two are the same judge."""
    from dataclasses import replace

    names = [judge.name for judge in judged]
    if len({(judge.fingerprint, judge.path) for judge in judged}) < len(judged):
        raise InputError("two of the judges are the same: nothing that changes a verdict differs between them")
    return [
        judge
        if names.count(judge.name) == 1
        else replace(judge, name=f"{judge.name} ({judge.rubric}, {judge.read}, {judge.fingerprint[:4]})")
        for judge in judged
    ]


def _report(config: Config, found: "Comparison") -> None:
    """Write the report beside the judgments and print it; raises JudgeError where a judge scored too few answers."""
    import json

    from console.progress import say
    from console.table import print_table
    from evals.reward_model.report import as_json, markdown, said, tables
    from judges.judging.judge import require_coverage
    from records import write_atomic
    from records.keys import content_key

    keys = [judge.fingerprint for judge in found.judges]
    folder = config.out or Path(found.judges[0].path).parent
    page = folder / f"{_name(config)}-{keys[0] if len(keys) == 1 else content_key(*keys)}.md"
    data = json.dumps({"file": str(config.file), **as_json(found)}, ensure_ascii=False, indent=1)
    write_atomic(page.with_suffix(".json"), data)
    write_atomic(page, markdown(found, f"Judges on {_stem(config)}"))
    if config.json:
        tell_encoded(data)
    else:
        for title, table in tables(found).items():
            tell(f"{title}:")
            print_table(table)
            tell()
        tell(*said(found).split("\n"), f"{page}, and every number in the .json beside it")
    for judge in found.judges:
        for reason, n in judge.reasons.most_common(3):
            say(f"{judge.name}: {n} answers without a score: {reason}")
    for judge in found.judges:
        n_scored = found.n_answers - judge.reasons.total()
        require_coverage(n_scored, found.n_answers, judge.reasons, config.judging.min_coverage, judge.read)


def _print_plan(config: Config, ranked: "list[RankedAnswers]", members: "list[Member]") -> None:
    from engines.options import check_engine
    from judges.judging.reward_model import reward_folder
    from records.files import checked_file

    n = len({(str(one.prompt), response) for one in ranked for response in one.responses})
    lines = [f"would measure on {len(ranked)} prompts with {n} answers of {config.file}"]
    judges: list[dict[str, Any]] = []
    for engine, judging in members:
        calls = 0 if reward_folder(engine) else n * (1 if judging.read == "logprobs" else judging.samples)
        how = f"{calls} calls, rubric {judging.rubric}, read by {judging.read}"
        if not calls:
            how = "a reward model, no calls"
        else:
            check_engine(engine)
        out = config.out or _folder(engine)
        judges.append({"model": engine.model, "calls": calls, "how": how, "out": str(out)})
        lines.append(f"{engine.model}: {how}; results in {out}")
    for path in map(checked_file, config.judgments):
        judges.append({"judgments": str(path), "calls": 0})
        lines.append(f"{path}: no calls")
    plan = {"prompts": len(ranked), "answers": n, "of": config.file, "judges": judges}
    tell_plan(plan, *lines, as_json=config.json)


def _folder(options: EngineOptions) -> Path:
    from records.names import folder_name
    from records.runs import RUNS, find_run

    root = find_run(options.run).folder if is_iteration(options) else RUNS
    return root / "evals" / folder_name(options.model) / BENCHMARK


def _stem(config: Config) -> str:
    from records.inputs import stem_of

    return stem_of(config.file) if config.file else ""


def _name(config: Config) -> str:
    from records.inputs import output_name

    return output_name(config.file) if config.file else ""


def _checked(config: Config) -> "tuple[Path, list[Member]]":
    """Return the file and the judges to ask; raises InputError where a flag is wrong, before a model is loaded."""
    from judges.judging.judge import checked_rubric
    from judges.panels.panel import member_named

    if config.file is None:
        raise InputError("name a file of ranked answers; see --help")
    named = [member_named(word, config.engine, config.judging) for word in config.judge]
    members = [(pinned(engine), judging) for engine, judging in named]  # which run is the newest is decided once
    if not members and not config.judgments:
        members = [(config.engine, config.judging)]
    for _, judging in members:
        if checked_rubric(judging).kind != "score":
            raise InputError(f"--rubric {judging.rubric} compares two answers; give one that scores: additive")
    return config.file, members


if __name__ == "__main__":
    run(Config, main, "python -m evals.reward_model")
