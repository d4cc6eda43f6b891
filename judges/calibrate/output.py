"""Writes and prints an audit."""

import json
from pathlib import Path

from console.output import tell, tell_encoded
from console.progress import say
from console.table import print_table
from judges.audit import report
from judges.audit.bias import FLIPS
from judges.audit.plot import draw
from judges.audit.result import Audit
from judges.calibrate.options import Config
from judges.judging.win_rate import flip_warning
from records import write_atomic


def write_audit(result: Audit, config: Config, out: Path) -> None:
    """Write report.md, audit.png and audit.json, print the tables, and warn of flips."""
    picture = draw(result)
    if picture is not None:
        write_atomic(out / "audit.png", picture)
    data = json.dumps(report.as_json(result), ensure_ascii=False, indent=1)
    write_atomic(out / "audit.json", data)
    write_atomic(out / "report.md", report.markdown(result, "audit.png" if picture else None))
    if config.json:
        tell_encoded(data)
    else:
        tell(*report.headline(result))
        for table in report.tables(result):
            tell()
            print_table(table)
        tell("", f"{out}/report.md has the whole page, audit.json every number, audit.png the picture")
    _warn_of_flips(result)


def _warn_of_flips(result: Audit) -> None:
    for bias in result.biases:
        if bias.effect.name == FLIPS and (rate := bias.effect.value) is not None:
            n = bias.effect.n
            if warning := flip_warning(result.about.judge, round(rate * n), n):  # back to the count
                say(warning)
