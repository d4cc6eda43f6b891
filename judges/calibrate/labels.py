"""Reads the labelled set and finds who gives the verdicts: a judge that is asked, or a file."""

from dataclasses import replace
from itertools import islice
from pathlib import Path

from console.errors import InputError
from engines.options import pinned
from judges.calibrate.fit import fit_judge
from judges.calibrate.judge import audit_judge
from judges.calibrate.options import Config
from judges.calibrate.verdict_file import audit_verdict_file
from judges.labelled.columns import Columns, columns_of, has_verdicts
from judges.labelled.labels import LabelledSet, sampled
from judges.labelled.readers.formats import FORMATS, TRIED, read_labelled
from records.files import BadRows, check_sources, read_records


def audit_labels(config: Config) -> None:
    """Read the labels, get the verdicts, and write and print the audit."""
    config = replace(config, engine=pinned(config.engine))
    source = _checked_source(config)
    columns = columns_of(config.verdict_column, config.human_column, config.id_column, config.codes)
    labelled = read_labelled(source, config.format, columns, BadRows(strict=config.strict))
    if config.fit:
        fit_judge(config, sampled(labelled, config.limit, config.seed))
        return
    verdicts = config.verdicts or _inner_verdicts(source, labelled, columns)
    if verdicts is not None:
        audit_verdict_file(config, verdicts, labelled, columns)
    else:
        # sampled here: stored verdicts cost nothing, and are sampled after they are matched
        audit_judge(config, sampled(labelled, config.limit, config.seed), columns)


def _checked_source(config: Config) -> Path:
    if config.file is None:
        raise InputError("name a file with labels: python -m judges.calibrate FILE; --help lists the formats")
    check_sources(config.verdicts, config.test)
    return config.file


def _inner_verdicts(source: Path, labelled: LabelledSet, columns: Columns) -> Path | None:
    """Return the labelled file itself if it has verdicts beside its labels.

    Raises InputError if the verdict column is also the label column, or does not exist.
    """
    if columns.verdict is not None and columns.verdict == labelled.label:
        raise InputError(
            f"--verdict-column {columns.verdict} is the column of labels in {source}: they would be compared with "
            "themselves; leave it out to ask a judge, or give a file of verdicts with --verdicts"
        )
    if labelled.format not in FORMATS or not FORMATS[labelled.format].is_table:
        if columns.verdict is not None:
            raise InputError(
                f"--verdict-column: in a file like {source} (format {labelled.format}) no column can hold "
                "verdicts; give them in a file of their own with --verdicts"
            )
        return None
    records = [record for _, record in islice(read_records(source, BadRows(quiet=True)), TRIED)]
    return source if has_verdicts(records, columns, pairs=bool(labelled.pairs)) else None
