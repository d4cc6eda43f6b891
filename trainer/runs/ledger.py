"""A run's own records: run.toml (settings and versions) and ledger.jsonl (one line per iteration)."""

import subprocess
from collections.abc import Collection, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec
import tomli_w

from console.address import without_secrets
from console.command import Flags
from console.errors import InputError, StoreError
from console.progress import say
from console.reading import read_toml
from engines.adapters import is_adapter, settings_of
from records import Prompt
from records.keys import content_key
from records.leftovers import ENDING, OWNER, remove, remove_leftovers
from records.rows import Row
from records.runs import Run, read_settings
from records.store import set_aside, write_atomic

PACKAGES = ("torch", "transformers", "trl", "peft", "datasets", "accelerate", "tokenizers")
DECIDES_NOTHING = ("gates", "estimate", "save_minutes", "report_to", "timeout_s", "retry_s", "max_failures_in_row")
"""Settings, in any section, that may change when a run is resumed."""
LENGTHENS = ("iterations",)
"""Settings of a whole run that may change as long as they do not fall below what is already done."""
NOT_SETTINGS = ("config", "dry_run", "fresh", "json", "strict", "debug")


class LedgerLine(Row, frozen=True, kw_only=True):
    """One iteration: its parent, its training data, and its cost."""

    id: str
    """`iterN`."""
    parent: str | None
    reference_model: str | None
    """The frozen model that DPO measures the distance to."""
    dtype: str | None = None
    """The precision in which all of the run's models answer, judge and read: float32 on a CPU, else iter0's type."""
    prompt_split: str | None
    """A hash of the ids of this round's prompts."""
    judge: str | None
    """The fingerprint of the judge that made the pairs."""
    counts: dict[str, int]
    """prompts, responses, cut_off (responses), judged, unparsed, failed, tied, filtered and pairs. With constraints
    also pairs_right and pairs_wrong: of the pairs with one side that follows everything. ruled_out: prompts that were
    not judged, because the evidence allows no pair. For iter1, the training rows."""
    mean_score: float | None
    """Of the judged answers. Those of prompts that are ruled out have no score."""
    mean_chars: float | None
    """Mean characters of all responses, judged or not."""
    n_tokens: int
    """Tokens that the model generated in this iteration."""
    training: dict[str, float]
    """Loss and the trainer's other figures, examples left_out for their length, and cut_off ones among the pairs."""
    adapter: dict[str, str | int] | None = None
    """The `base` of the iteration's model and the rank `r` of its adapter, or None if it has whole weights."""
    seconds: float
    """From the start of the iteration to its model, in the process that finished it."""
    taken_from: str | None = None
    """The folder of the run that made this iteration, if that was another run."""


def adapter_of(model: Path) -> dict[str, str | int] | None:
    """Return what the ledger says about the adapter in `model`, or None if it holds whole weights."""
    if not is_adapter(model):
        return None
    settings = settings_of(model)
    return {"base": str(settings["base_model_name_or_path"]), "r": int(settings["r"])}


def set_aside_run(run: Run) -> None:
    """Set aside an earlier run of the same name. Raises StoreError if a process is working on it."""
    check_free(run)
    set_aside(run.folder)


def check_free(run: Run) -> None:
    """Raise StoreError if a process is working on the run."""
    if run.is_under_way:
        raise StoreError(f"{run.folder}: another process is at work on this run; wait for it or give another --name")


def claim_run(run: Run, config: Flags, made: Collection[str] = ()) -> None:
    """Write run.toml for a new run; for a resumed one, raise InputError if its settings differ.

    A setting that only lengthens the run may change, and run.toml is updated. `made` are the ids in the run's ledger:
    the run may not become shorter than that.
    """
    if not run.config.exists():
        write_atomic(run.config, tomli_w.dumps({"settings": _settings(config), "versions": _versions()}))
    elif longer := check_settings(run, config, len(made)):
        _lengthen(run, longer)


def check_settings(run: Run, config: Flags, n_made: int) -> dict[str, Any]:
    """Return the settings that lengthen a run that is there. Raises InputError as `claim_run` does."""
    settings = _settings(config)
    # A run.toml of an earlier version may still have secrets, and lacks settings that came later.
    before = _with_new(without_secrets(read_settings(run)), _settings(type(config)()))
    if changed := _differences(_deciding(before), _deciding(settings)):
        raise InputError(
            f"{run.folder} was made with other settings: {'; '.join(changed[:3])}. "
            "Use the same, or another --name, or --fresh to set the old run aside"
        )
    longer = {name: settings[name] for name in LENGTHENS if name in settings and settings[name] != before.get(name)}
    for name, n in longer.items():
        if n < n_made:
            raise InputError(
                f"{run.folder} has {n_made} {name} already, and --{name} {n} is fewer: give as many or more, "
                "or another --name"
            )
    return longer


def remove_run_leftovers(run: Run) -> None:
    """Remove half-written files of killed processes anywhere in a run; the caller holds the lock of its ledger.

    The folder of a half-written model names no process. It is safe to remove, because the lock keeps other trainers
    out.
    """
    remove_leftovers(run.folder, below=True)
    for path in run.folder.rglob(f"*{ENDING}"):
        if path.is_dir() and OWNER.search(path.name) is None:
            remove(path)


def _lengthen(run: Run, longer: dict[str, Any]) -> None:
    """Write the new numbers to run.toml, with the package versions from here on."""
    table = read_toml(run.config)
    before = {name: table["settings"].get(name) for name in longer}
    table["settings"] |= longer
    # `versions` at the top stay those of the first iterations
    table.setdefault("changed", []).append({"before": before, "now": longer, "versions": _versions()})
    write_atomic(run.config, tomli_w.dumps(table))
    say(f"{run.folder}: continues with {', '.join(f'{name} {n}, before {before[name]}' for name, n in longer.items())}")


def _deciding(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings without those that decide no row, such as a gate that stopped the run and may be moved."""
    return {
        name: _deciding(value) if isinstance(value, dict) else value
        for name, value in settings.items()
        if name not in (*DECIDES_NOTHING, *LENGTHENS)
    }


def _settings(config: Flags) -> dict[str, Any]:
    """Return every setting that decides the run's rows in TOML's types: no null, paths as text."""
    plain = {name: value for name, value in asdict(config).items() if name not in NOT_SETTINGS}
    cleaned: dict[str, Any] = msgspec.to_builtins(plain, enc_hook=_path_text)
    hidden: dict[str, Any] = without_secrets(_without_none(cleaned))
    return hidden


def _with_new(before: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a run, with the defaults of those that the version that made it did not have."""
    common = {
        name: _with_new(before[name], default)
        for name, default in defaults.items()
        if isinstance(default, dict) and isinstance(before.get(name), dict)
    }
    return defaults | before | common  # `common` last: tables within tables get their defaults too


def _path_text(value: object) -> str:
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(type(value))


def _without_none(table: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _without_none(value) if isinstance(value, dict) else list(value) if isinstance(value, tuple) else value
        for name, value in table.items()
        if value is not None
    }


def _differences(before: dict[str, Any], now: dict[str, Any], section: str = "") -> list[str]:
    differences = []
    for name in sorted(before.keys() | now.keys()):
        old, new = before.get(name), now.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            differences += _differences(old, new, f"{section}{name}.")
        elif old != new:
            differences.append(f"{section}{name} was {old!r}, now {new!r}")
    return differences


def _versions() -> dict[str, str]:
    versions = {"judgeloop": _git_revision()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return versions


def _git_revision() -> str:
    try:
        # of this file's folder and not of the working one, which may be another repository
        command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def split_hash(prompts: Sequence[Prompt]) -> str:
    """Return a hash of the prompts' ids."""
    return content_key("split", sorted(prompt.id for prompt in prompts))  # the same in any order
