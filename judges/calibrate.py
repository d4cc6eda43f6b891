"""Audit a judge against human labels: agreement, biases, and what it must beat.

python -m judges.calibrate Natural.json --rubric pairwise                       ask a judge, both orders (LLMBar)
python -m judges.calibrate Natural.json --limit 40                              score each answer (rubric additive)
python -m judges.calibrate testset-v1.json --verdicts gpt-3.5-turbo-testset-v1.json   verdicts that are there (PandaLM)
python -m judges.calibrate log.csv --verdict-column gpt4 --human-column me      one table with both
python -m judges.calibrate Natural.json --verdicts comparisons.jsonl --test runs/demo/eval/comparisons.jsonl

FILE is a labelled set: LLMBar, PandaLM, JudgeBench, FairEval, Auto-J, RM-Bench, RewardBench, OASST trees, MT-Bench,
Prometheus, HHH, or any table with a label. Stopped and started again, it goes on where it was.
"""

import filecmp
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from console.again import starts_again
from console.command import Flags, Given, run
from console.errors import InputError, JudgeError
from console.output import tell, tell_encoded, tell_plan
from console.ranges import Count, CountOr0
from console.writing import OutFolder
from engines.options import EngineOptions, SharedEngineOptions, of_run, pinned
from judges.labelled.readers.names import FormatName
from judges.options import JudgeOptions

if TYPE_CHECKING:
    from console.table import Cell
    from engines.local.transformers_engine import TransformersEngine
    from judges.audit.correction import Wins
    from judges.audit.result import Audit, Rerun, Settings
    from judges.judging.judge import Judge
    from judges.labelled.columns import Columns
    from judges.labelled.labels import LabelledSet

OUT = Path("runs/audit")


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Audit a judge against human labels."""

    file: Given = None
    """The labelled set, a file or for FairEval a folder."""
    verdicts: Path | None = None
    """Verdicts that are there already: judgments or comparisons of this project, or a table. No judge is asked."""
    engine: SharedEngineOptions = field(default_factory=EngineOptions)
    judge: Annotated[JudgeOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=JudgeOptions)
    format: FormatName | None = None
    """The labelled set's format; the default is recognised by its fields."""
    verdict_column: str | None = None
    """Where a table has the verdict; the default is verdict, winner, preference, prediction, gpt_result or score."""
    human_column: str | None = None
    """Where a table has the label; the default is human, label or gold."""
    id_column: str | None = None
    """Where a table has the row's id; the default is pair_id, id, idx or uid."""
    codes: str | None = None
    """What a table's cells mean, like 0=a,1=b,2=tie; the default knows a, b, tie, 1, 2, 0 and more."""
    limit: Count | None = None
    """Take only N rows, drawn with --seed (of ranked answers: N prompts)."""
    retest: CountOr0 = 0
    """Ask the judge N more times with other seeds and compare (--read text)."""
    likelihood: bool = False
    """Add the baseline 'the likelier is better': a pass of the judge's own model over each answer (transformers)."""
    attacks: CountOr0 = 0
    """Also measure how often N answers that speak to the judge fool its model (a rubric that scores)."""
    test: Path | None = None
    """Comparisons or a table without labels, whose win rate is to be corrected by what the audit finds."""
    own_model: str | None = None
    """The name of the judge's own model in the set, for self-preference; the default is --model."""
    resamples: Count = 1000
    """Bootstrap resamples for the intervals."""
    out: OutFolder | None = None
    """The folder for rows and report; the default is runs/audit/<set>-<digest of its path>-<judge fingerprint>."""


@starts_again
def main(config: Config) -> None:
    """Read the labels, get the verdicts, and write and print the audit."""
    config = replace(config, engine=pinned(config.engine))
    from judges.labelled.columns import columns_of
    from judges.labelled.labels import sampled
    from judges.labelled.readers.formats import read_labelled
    from records.files import BadRows

    source = _checked(config)
    columns = columns_of(config.verdict_column, config.human_column, config.id_column, config.codes)
    labelled = read_labelled(source, config.format, columns, BadRows(strict=config.strict))
    verdicts = config.verdicts or _own_verdicts(source, labelled, columns)
    if verdicts is not None:
        _audit_stored(config, verdicts, labelled, columns)
    else:
        _audit_judge(config, sampled(labelled, config.limit, config.seed), columns)


def _audit_stored(config: Config, path: Path, labelled: "LabelledSet", columns: "Columns") -> None:
    from judges.audit.result import About, audit
    from judges.audit.stored import Sample, stored_verdicts
    from records.files import BadRows, checked_file
    from records.keys import files_digest

    if config.retest or config.likelihood or config.attacks:
        raise InputError("--retest, --likelihood and --attacks need a judge to ask; leave out --verdicts")
    out = config.out or OUT / f"{_name(config, labelled)}-{files_digest([checked_file(path)])}"
    if config.dry_run:
        plan = {"verdicts": path, "labels": labelled.name, "out": out}
        said = f"would audit the verdicts in {path} on {labelled.name}; the report would go to {out}"
        tell_plan(plan, said, as_json=config.json)
        return
    own = config.file is not None and _is_same(path, config.file)
    bad, sample = BadRows(strict=config.strict), Sample(config.limit, config.seed)
    stored = stored_verdicts(path, labelled, columns, bad, own=own, sample=sample)
    about = About(stored.judge, "", str(out))
    settings = _settings(config, config.own_model)
    test = _test_set(config, columns, labelled)
    found = audit(stored.labelled, stored.verdicts, stored.grades, about, settings, test=test)
    _show(found, config, out)
    _check_coverage(found, config, test, stored.n_labelled)


def _audit_judge(config: Config, labelled: "LabelledSet", columns: "Columns") -> None:
    from engines.options import open_engine
    from judges.audit.asking import ask_about, check_texts
    from judges.audit.result import About, audit
    from judges.judging.judge import checked_rubric, open_judge

    check_texts(labelled)
    checked_rubric(config.judge)
    judge = open_judge(open_engine(config.engine), config.judge, config.seed)
    out = config.out or OUT / f"{_name(config, labelled)}-{judge.fingerprint}"
    if config.dry_run:
        _print_plan(config, labelled, judge, out)
        return
    said = ask_about(labelled, judge, out, fresh=config.fresh)
    reruns, notes = _reruns(config, labelled, judge, out)
    likelihoods, note = _likelihoods(config, labelled, judge, out)
    attacks, attack_note = _attacks(config, judge, out)
    notes = [*notes, *note, *attack_note]
    about = About(
        f"{judge.engine.name}{of_run(config.engine)}, rubric {judge.rubric.name}", judge.read, str(out), notes
    )
    settings = _settings(config, config.own_model or judge.engine.name)
    test = _test_set(config, columns, labelled)
    found = audit(
        labelled,
        said.verdicts,
        said.grades,
        about,
        settings,
        reruns=reruns,
        likelihoods=likelihoods,
        test=test,
    )
    _show(replace(found, attacks=attacks), config, out)
    _check_coverage(found, config, test)


def _reruns(config: Config, labelled: "LabelledSet", judge: "Judge", out: Path) -> "tuple[list[Rerun], list[str]]":
    from judges.audit.asking import another, ask_about
    from judges.audit.result import Rerun

    if not config.retest:
        return [], []
    if judge.read == "logprobs":
        return [], ["no test-retest: a reading of log-probabilities does not depend on the seed"]
    reruns = []
    for number in range(1, config.retest + 1):
        said = ask_about(labelled, another(judge, number), out, name=f"-retest{number}", fresh=config.fresh)
        reruns.append(Rerun(said.verdicts, said.grades))
    return reruns, []


def _likelihoods(
    config: Config, labelled: "LabelledSet", judge: "Judge", out: Path
) -> tuple[dict[str, float | None] | None, list[str]]:
    from engines.likelihood import Likelihood, likelihood_id, likelihoods_of
    from records import Store
    from records.stage import complete

    if not config.likelihood:
        return None, []
    if not hasattr(judge.engine, "tokenizer"):
        return None, [
            "no baseline of the likelier answer: the engine is a server, which gives no log-likelihood of a text"
        ]
    answers = [(pair.prompt, text) for pair in labelled.pairs for text in (pair.response_a, pair.response_b)]
    answers += [(item.prompt, item.response) for item in labelled.scores]
    ids = [likelihood_id(prompt, text) for prompt, text in answers]
    engine: TransformersEngine = getattr(judge.engine, "loaded", judge.engine)  # type: ignore[arg-type]
    with Store(out / f"likelihoods-{engine.digest}.jsonl", Likelihood, fresh=config.fresh) as store:
        rows = complete(store, ids, likelihoods_of(engine, answers, store.ids), "log-likelihoods")
    return {row.id: row.logprob for row in rows}, []


def _attacks(config: Config, judge: "Judge", out: Path) -> "tuple[list[dict[str, Cell]], list[str]]":
    from judges.attacks.rates import fooled_rates
    from judges.attacks.texts import load_prompts
    from judges.judging.judge import has_every_reply
    from records import Judgment, Store

    if not config.attacks:
        return [], []
    if judge.rubric.kind == "pair":
        return [], ["no attacks: they are answers to be scored, and the rubric compares"]
    with Store(out / "attacks.jsonl", Judgment, keep=has_every_reply, fresh=config.fresh) as store:
        prompts, seed = load_prompts(), config.seed
        return fooled_rates(judge, prompts, seed, limit=config.attacks, store=store, fresh=config.fresh), []


def _test_set(config: Config, columns: "Columns", labelled: "LabelledSet") -> "Wins | None":
    from judges.audit.correction import unlabelled
    from judges.audit.stored import unlabelled_verdicts, with_codes_of
    from records.files import BadRows

    if config.test is None:
        return None
    columns = with_codes_of(labelled, columns)
    verdicts, groups = unlabelled_verdicts(
        config.test, columns, BadRows(strict=config.strict), from_one=labelled.from_one
    )
    return unlabelled(str(config.test), verdicts, groups, config.resamples, config.seed)


def _show(found: "Audit", config: Config, out: Path) -> None:
    """Write report.md, audit.png and audit.json, and print the tables."""
    import json

    from console.progress import say
    from console.table import print_table
    from judges.audit import report
    from judges.audit.bias import FLIPS
    from judges.audit.plot import draw
    from judges.judging.pairwise import flip_warning
    from records import write_atomic

    picture = draw(found)
    if picture is not None:
        write_atomic(out / "audit.png", picture)
    data = json.dumps(report.as_json(found), ensure_ascii=False, indent=1)
    write_atomic(out / "audit.json", data)
    write_atomic(out / "report.md", report.markdown(found, "audit.png" if picture else None))
    if config.json:
        tell_encoded(data)
    else:
        tell(*report.headline(found))
        for table in report.tables(found):
            tell()
            print_table(table)
        tell("", f"{out}/report.md has the whole page, audit.json every number, audit.png the picture")
    for bias in found.biases:
        if bias.effect.name == FLIPS and (rate := bias.effect.value) is not None:
            n = bias.effect.n
            if warning := flip_warning(found.about.judge, round(rate * n), n):
                say(warning)


def _is_same(path: Path, labelled: Path) -> bool:
    """Return whether the verdicts are the labelled file itself, or a copy of it."""
    if not labelled.is_file():
        return False
    if path.samefile(labelled):
        return True
    if path.stat().st_size != labelled.stat().st_size:
        return False
    return filecmp.cmp(path, labelled, shallow=False)


def _check_coverage(found: "Audit", config: Config, test: "Wins | None", n_labelled: int | None = None) -> None:
    """Raise JudgeError where too few of the labelled rows, or of the rows of --test, have a verdict.

    The report is written by then. `n_labelled` is how many rows the verdicts should be on, where they were stored.
    """
    n_rows, least = found.n_pairs or found.n_answers, config.judge.min_coverage
    n_all, n_with = n_labelled or n_rows, n_rows - sum(found.unscored.values())
    under, remedy = f"under --min-coverage {least:g}", "or accept it with a lower --min-coverage"
    if n_with < least * n_all:
        reasons = [*found.unscored] if n_all == n_rows else ["the file of verdicts has no row on it", *found.unscored]
        most = max(reasons, key=lambda reason: found.unscored.get(reason, n_all - n_rows))
        raise JudgeError(
            f"only {n_with} of {n_all} labelled rows have a verdict, {under}, and what is measured holds for these "
            f"alone; most often: {most}. Give the rest of the verdicts, or try another judge, {remedy}"
        )
    if test is not None and (n_known := sum(win == win for win in test.wins)) < least * len(test.wins):
        raise JudgeError(
            f"{test.name}: only {n_known} of {len(test.wins)} rows of --test have a verdict, {under}; give the rest, "
            f"{remedy}"
        )


def _print_plan(config: Config, labelled: "LabelledSet", judge: "Judge", out: Path) -> None:
    from judges.audit.asking import n_calls

    calls = n_calls(labelled, judge) * (1 + (config.retest if judge.read != "logprobs" else 0))
    rows = f"{len(labelled.pairs)} pairs and {len(labelled.scores)} scored answers, labels by {labelled.labeller}"
    how = f"judge {judge.fingerprint}, rubric {judge.rubric.name}, read by {judge.read}; all of it would go to {out}"
    counts = {"pairs": len(labelled.pairs), "scores": len(labelled.scores), "labels_by": labelled.labeller}
    names = {"judge": judge.fingerprint, "rubric": judge.rubric.name, "read": judge.read, "out": out}
    plan = {"labels": labelled.name, **counts, "calls": calls, "model": judge.engine.name, **names}
    said = f"would ask {judge.engine.name} about {labelled.name}: {rows}; {calls} calls"
    tell_plan(plan, said, how, as_json=config.json)


def _name(config: Config, labelled: "LabelledSet") -> str:
    """Return the part of the folder's name that the set gives: two files of one name have a folder each."""
    from records.inputs import path_digest

    return f"{labelled.name}-{path_digest(config.file or labelled.name)}"


def _settings(config: Config, own_model: str | None) -> "Settings":
    from judges.audit.result import Settings

    return Settings(config.resamples, config.seed, own_model)


def _own_verdicts(source: Path, labelled: "LabelledSet", columns: "Columns") -> Path | None:
    """Return the labelled file itself where it has verdicts beside its labels.

    Raises InputError where the column with the verdicts is the one with the labels, or is not there.
    """
    from itertools import islice

    from judges.labelled.columns import has_verdicts
    from judges.labelled.readers.formats import FORMATS, TRIED
    from records.files import BadRows, read_records

    if columns.verdict is not None and columns.verdict == labelled.label:
        raise InputError(
            f"--verdict-column {columns.verdict} is where {source} has its labels: they would be compared with "
            "themselves; leave it out to ask a judge, or give a file of verdicts with --verdicts"
        )
    if labelled.format not in FORMATS or not FORMATS[labelled.format].is_table:
        if columns.verdict is not None:
            raise InputError(
                f"--verdict-column: in a file like {source} (format {labelled.format}) no column can hold "
                "verdicts; give them in a file of their own with --verdicts"
            )
        return None
    rows = [record for _, record in islice(read_records(source, BadRows(quiet=True)), TRIED)]
    return source if has_verdicts(rows, columns, pairs=bool(labelled.pairs)) else None


def _checked(config: Config) -> Path:
    from records.files import check_sources

    if config.file is None:
        raise InputError("name a file with labels: python -m judges.calibrate FILE; --help lists the formats")
    check_sources(config.verdicts, config.test)
    return config.file


if __name__ == "__main__":
    run(Config, main, "python -m judges.calibrate")
