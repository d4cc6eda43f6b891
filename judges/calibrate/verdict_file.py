"""Audits the verdicts in a file."""

import filecmp
from pathlib import Path

from console.errors import InputError
from console.output import tell_plan
from judges.audit.result import About, audit
from judges.audit.stored import Sample, stored_verdicts
from judges.calibrate.coverage import check_coverage
from judges.calibrate.options import OUT, Config
from judges.calibrate.output import write_audit
from judges.calibrate.settings import audit_settings, set_name, wins_on_test
from judges.labelled.columns import Columns
from judges.labelled.labels import LabelledSet
from records.files import BadRows, checked_file
from records.keys import files_digest


def audit_verdict_file(config: Config, path: Path, labelled: LabelledSet, columns: Columns) -> None:
    """Audit the verdicts in `path` on the labelled rows, without asking a judge."""
    if config.retest or config.likelihood or config.attacks:
        raise InputError("--retest, --likelihood and --attacks need a judge to ask; leave out --verdicts")
    out = config.out or OUT / f"{set_name(config, labelled)}-{files_digest([checked_file(path)])}"
    if config.dry_run:
        plan = {"verdicts": path, "labels": labelled.name, "out": out}
        summary = f"would audit the verdicts in {path} on {labelled.name}; the report would go to {out}"
        tell_plan(plan, summary, as_json=config.json)
        return
    is_own = config.file is not None and _is_same(path, config.file)
    bad, sample = BadRows(strict=config.strict), Sample(config.limit, config.seed)
    stored = stored_verdicts(path, labelled, columns, bad, own=is_own, sample=sample)
    about = About(stored.judge, "", str(out))
    settings = audit_settings(config, config.own_model)
    test = wins_on_test(config, columns, labelled)
    result = audit(stored.labelled, stored.verdicts, stored.grades, about, settings, test=test)
    write_audit(result, config, out)
    check_coverage(result, config, test, stored.n_labelled)


def _is_same(path: Path, labelled: Path) -> bool:
    """Return whether the verdicts are the labelled file itself, or a copy of it."""
    if not labelled.is_file():
        return False
    if path.samefile(labelled):
        return True
    if path.stat().st_size != labelled.stat().st_size:  # cheap, before every byte is compared
        return False
    return filecmp.cmp(path, labelled, shallow=False)
