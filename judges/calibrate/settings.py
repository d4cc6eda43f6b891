"""Parts of an audit that do not depend on who gave the verdicts."""

from judges.audit.correction import Wins, unlabelled
from judges.audit.result import Settings
from judges.audit.stored import unlabelled_verdicts, with_codes_of
from judges.calibrate.options import Config
from judges.labelled.columns import Columns
from judges.labelled.labels import LabelledSet
from records.files import BadRows
from records.inputs import path_digest


def set_name(config: Config, labelled: LabelledSet) -> str:
    """Return the set's part of the folder's name. Two files of one name get a folder each."""
    return f"{labelled.name}-{path_digest(config.file or labelled.name)}"


def audit_settings(config: Config, own_model: str | None) -> Settings:
    """Return the settings of the measures."""
    return Settings(config.resamples, config.seed, own_model)


def wins_on_test(config: Config, columns: Columns, labelled: LabelledSet) -> Wins | None:
    """Return the judge's wins on the unlabelled test set, or None without one."""
    if config.test is None:
        return None
    columns = with_codes_of(labelled, columns)
    bad = BadRows(strict=config.strict)
    verdicts, groups = unlabelled_verdicts(config.test, columns, bad, from_one=labelled.from_one)
    return unlabelled(str(config.test), verdicts, groups, config.resamples, config.seed)
