"""Asks a judge about labelled rows, as often as the flags say, and audits its verdicts."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from console.output import tell_plan
from console.table import Cell
from engines.likelihood import Likelihood, likelihood_id, likelihoods_of
from engines.local.transformers_engine import TransformersEngine
from engines.options import of_run, open_engine
from judges.attacks.rates import fooled_rates
from judges.attacks.texts import load_prompts
from judges.audit.asking import another, ask_about, check_texts, n_calls
from judges.audit.result import About, Rerun, audit
from judges.calibrate.coverage import check_coverage
from judges.calibrate.options import OUT, Config
from judges.calibrate.output import write_audit
from judges.calibrate.settings import audit_settings, set_name, wins_on_test
from judges.judging.judge import Judge, has_every_reply, open_judge
from judges.judging.report import rows_there
from judges.labelled.columns import Columns
from judges.labelled.labels import LabelledSet
from judges.options import OF_CHOICES
from judges.rubrics.checked import checked_rubric
from records import Judgment, Store
from records.stage import complete


@dataclass
class Extras:
    """Measurements beside the verdicts, and notes on those that the judge does not allow."""

    reruns: list[Rerun] = field(default_factory=list)
    likelihoods: dict[str, float | None] | None = None
    attacks: list[dict[str, Cell]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def audit_judge(config: Config, labelled: LabelledSet, columns: Columns) -> None:
    """Ask the judge about the labelled rows and audit its verdicts."""
    check_texts(labelled)
    checked_rubric(config.judge)
    judge = open_judge(open_engine(config.engine), config.judge, config.seed)
    out = config.out or OUT / f"{set_name(config, labelled)}-{judge.fingerprint}"
    if config.dry_run:
        print_plan(config, labelled, judge, out)
        return
    answers = ask_about(labelled, judge, out, fresh=config.fresh)
    extras = Extras()
    _add_reruns(extras, config, labelled, judge, out)
    _add_likelihoods(extras, config, labelled, judge, out)
    _add_attacks(extras, config, judge, out)
    name = f"{judge.engine.name}{of_run(config.engine)}, rubric {judge.rubric.name}"
    test = wins_on_test(config, columns, labelled)
    result = audit(
        labelled,
        answers.verdicts,
        answers.grades,
        About(name, judge.read, str(out), extras.notes),
        audit_settings(config, config.own_model or judge.engine.name),
        reruns=extras.reruns,
        likelihoods=extras.likelihoods,
        test=test,
    )
    write_audit(replace(result, attacks=extras.attacks), config, out)
    check_coverage(result, config, test)


def _add_reruns(extras: Extras, config: Config, labelled: LabelledSet, judge: Judge, out: Path) -> None:
    if config.retest and judge.read in OF_CHOICES:
        extras.notes.append("no test-retest: a reading of log-probabilities does not depend on the seed")
        return
    for number in range(1, config.retest + 1):
        answers = ask_about(labelled, another(judge, number), out, name=f"-retest{number}", fresh=config.fresh)
        extras.reruns.append(Rerun(answers.verdicts, answers.grades))


def _add_likelihoods(extras: Extras, config: Config, labelled: LabelledSet, judge: Judge, out: Path) -> None:
    if not config.likelihood:
        return
    if not hasattr(judge.engine, "tokenizer"):
        extras.notes.append(
            "no baseline of the likelier answer: only --engine transformers gives the log-likelihood of a text"
        )
        return
    answers = [(pair.prompt, text) for pair in labelled.pairs for text in (pair.response_a, pair.response_b)]
    answers += [(item.prompt, item.response) for item in labelled.scores]
    ids = [likelihood_id(prompt, text) for prompt, text in answers]
    # A LocalEngine loads its model here, if the judging did not ask it anything.
    engine: TransformersEngine = getattr(judge.engine, "loaded", judge.engine)  # type: ignore[arg-type]
    with Store(out / f"likelihoods-{engine.digest}.jsonl", Likelihood, fresh=config.fresh) as store:
        likelihoods = complete(store, ids, likelihoods_of(engine, answers, store.ids), "log-likelihoods")
    extras.likelihoods = {likelihood.id: likelihood.logprob for likelihood in likelihoods}


def _add_attacks(extras: Extras, config: Config, judge: Judge, out: Path) -> None:
    if not config.attacks:
        return
    if judge.rubric.kind == "pair":
        extras.notes.append("no attacks: they are answers to be scored, and the rubric compares")
        return
    with Store(out / "attacks.jsonl", Judgment, keep=has_every_reply, fresh=config.fresh) as store:
        prompts, seed = load_prompts(), config.seed
        extras.attacks = fooled_rates(judge, prompts, seed, limit=config.attacks, store=store, fresh=config.fresh)


def print_plan(config: Config, labelled: LabelledSet, judge: Judge, out: Path) -> None:
    """Print what would be asked and where it would be written."""
    # reruns at the same price; log-probabilities have none, see _add_reruns
    calls = n_calls(labelled, judge) * (1 + (config.retest if judge.read not in OF_CHOICES else 0))
    rows = f"{len(labelled.pairs)} pairs and {len(labelled.scores)} scored answers, labels by {labelled.labeller}"
    n_there = sum(rows_there(judge, out / f"{name}.jsonl") for name in ("comparisons", "judgments"))
    how = f"judge {judge.fingerprint}, rubric {judge.rubric.name}, reading: {judge.read}; all output would go to {out}"
    counts = {"pairs": len(labelled.pairs), "scores": len(labelled.scores), "labels_by": labelled.labeller}
    names = {"judge": judge.fingerprint, "rubric": judge.rubric.name, "read": judge.read, "out": out}
    plan = {
        "labels": labelled.name,
        **counts,
        "calls": calls,
        "rows_there": n_there,
        "model": judge.engine.name,
        **names,
    }
    summary = f"would ask {judge.engine.name} about {labelled.name}: {rows}; {calls} calls"
    if n_there:
        summary += f" in all; {n_there} rows of this judge are there already, and only failed calls are repeated"
    tell_plan(plan, summary, how, as_json=config.json)
