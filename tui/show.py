"""Loads the pairs and opens the screen, or prints the table, or writes a picture."""

import sys
from dataclasses import asdict

from console.errors import InputError
from console.output import tell
from console.table import print_table
from records.fields.labels import given_codes
from tui.app import PairsApp, write_screenshot
from tui.options import Config
from tui.query import PairList, find_pairs, load_pairs


def show_pairs(config: Config) -> None:
    """Load the pairs, then open the screen. Wrong input ends the command before the screen opens."""
    if config.screenshot is not None and config.screenshot.suffix.lower() != ".svg":
        raise InputError(f"--screenshot {config.screenshot}: the file must end in .svg")
    codes = given_codes(config.codes)
    pairs = load_pairs(find_pairs(config.source), strict=config.strict, codes=codes)
    if config.json or config.dry_run:
        _print_rows(pairs, as_json=config.json, only_counts=config.dry_run)
        return
    if config.screenshot is not None:
        write_screenshot(pairs, config.screenshot)
        tell(f"screenshot: {config.screenshot}")
        return
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise InputError("the screen needs a terminal; use --json to print the table, or --screenshot PATH.svg")
    PairsApp(pairs).run()


def _print_rows(pairs: PairList, *, as_json: bool, only_counts: bool) -> None:
    if only_counts:
        print_table([{"file": pairs.source, "pairs": len(pairs.rows), "bad rows": pairs.n_bad}], as_json=as_json)
    else:
        print_table([asdict(pair) for pair in pairs.rows], as_json=as_json)
