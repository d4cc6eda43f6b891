"""What a run keeps about itself: run.toml (settings and versions) and ledger.jsonl (one line an iteration)."""

import re
import subprocess
import tomllib
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec
import tomli_w

from console.command import Flags
from console.errors import InputError
from engines.served.address import shown
from records.rows import Row
from records.runs import Run
from records.store import write_atomic

PACKAGES = ("torch", "transformers", "trl", "datasets", "accelerate", "tokenizers")
DECIDES_NOTHING = ("gates", "estimate", "save_minutes", "timeout_s", "retry_s", "max_failures_in_row")
"""Settings, in any section, that a run may go on with changed."""
ADDRESS = re.compile(r"\bhttps?://\S+$")
NOT_SETTINGS = ("config", "dry_run", "fresh", "json", "strict", "debug")


class LedgerLine(Row, frozen=True, kw_only=True):
    """One iteration: what it came from, what it was trained on, and what it cost."""

    id: str
    """`iterN`."""
    parent: str | None
    reference_model: str | None
    """The frozen model that DPO measures the distance to."""
    prompt_split: str | None
    """A hash of the ids of the prompts of this round."""
    judge: str | None
    """The fingerprint of the judge that made the pairs."""
    counts: dict[str, int]
    """prompts, responses, judged, unparsed, failed, tied, filtered, pairs; for iter1 the rows it learnt from."""
    mean_score: float | None
    mean_chars: float | None
    """Of the responses that were judged."""
    n_tokens: int
    """Written by the model in this iteration."""
    training: dict[str, float]
    """Loss and the trainer's own figures."""
    seconds: float
    """From the start of the iteration to its model, in the process that finished it."""


def claim_run(run: Run, config: Flags) -> None:
    """Write run.toml for a new run; for one that goes on, raise InputError where its settings were others."""
    settings = _settings(config)
    if run.config.exists():
        before = _without_secrets(tomllib.loads(run.config.read_text(encoding="utf-8"))["settings"])
        if changed := _differences(_deciding(before), _deciding(settings)):
            raise InputError(
                f"{run.folder} was made with other settings: {'; '.join(changed[:3])}. "
                "Use the same, or another --name, or --fresh to set the old run aside"
            )
        return
    table = {"settings": settings, "versions": _versions()}
    write_atomic(run.config, tomli_w.dumps(table))


def _deciding(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings without those that decide no row: after a gate has stopped a run, it may be moved."""
    return {
        name: _deciding(value) if isinstance(value, dict) else value
        for name, value in settings.items()
        if name not in DECIDES_NOTHING
    }


def _settings(config: Flags) -> dict[str, Any]:
    """Return everything that decides the run's rows, as TOML can hold it: no null, paths as text."""
    plain = {name: value for name, value in asdict(config).items() if name not in NOT_SETTINGS}
    cleaned: dict[str, Any] = msgspec.to_builtins(plain, enc_hook=_path_text)
    hidden: dict[str, Any] = _without_secrets(_without_none(cleaned))
    return hidden


def _without_secrets(value: Any) -> Any:
    """Return `value` with the keys in addresses hidden: a run's folder is shown to others."""
    if isinstance(value, dict):
        return {name: _without_secrets(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_secrets(one) for one in value]
    return shown(value) if isinstance(value, str) and ADDRESS.search(value) else value


def _path_text(value: object) -> str:
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(type(value))


def _without_none(table: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _without_none(value) if isinstance(value, dict) else value
        for name, value in table.items()
        if value is not None
    }


def _differences(before: dict[str, Any], now: dict[str, Any], section: str = "") -> list[str]:
    found = []
    for name in sorted(before.keys() | now.keys()):
        old, new = before.get(name), now.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            found += _differences(old, new, f"{section}{name}.")
        elif old != new:
            found.append(f"{section}{name} was {old!r}, now {new!r}")
    return found


def _versions() -> dict[str, str]:
    found = {"judgeloop": _git_revision()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def _git_revision() -> str:
    try:
        command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
