"""Uploads an iteration's model to the hub, with its card and its results."""

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled
from huggingface_hub.utils import validate_repo_id

from console.errors import EngineError, InputError
from console.output import say, tell, tell_json, tell_text
from engines.adapters import BASE, SETTINGS, is_adapter, is_model, settings_of
from evals.report.card import card_of, on_hub
from evals.report.content import Content
from evals.report.facts.run import RunFacts
from evals.report.hub import eval_results
from evals.report.options import Config
from records.runs import BEST, best_of_run

CARD = "README.md"
OF_THIS_MACHINE = (BASE, "manifest.json", "training_args.bin")
"""Files about the folder on this machine, which others have no use for."""
AGAIN = "the same command with --update tries again"
TAKEN, REFUSED, FORBIDDEN = 409, 401, 403


@dataclass(frozen=True)
class Upload:
    """What goes to the hub."""

    name: str
    """USER/NAME."""
    is_private: bool
    files: Mapping[str, Path | str]
    """By its name on the hub, a file of the model, or a text."""

    @property
    def n_bytes(self) -> int:
        """The size of all files."""
        parts = self.files.values()
        return sum(part.stat().st_size if isinstance(part, Path) else len(part.encode()) for part in parts)


def upload_of(config: Config, facts: RunFacts, content: Content, licence: str | None) -> Upload:
    """Return what --push uploads: the last iteration of `facts`. Raises InputError if others could not use it."""
    assert config.push is not None
    iteration = facts.iterations[-1]
    model = facts.run.folder / iteration / "model"
    files: dict[str, Path | str] = {
        str(path.relative_to(model)): path
        for path in sorted(model.rglob("*"))
        if path.is_file() and path.name not in (*OF_THIS_MACHINE, CARD)
    }
    if is_adapter(model):
        files[SETTINGS] = _settings_for_all(model, on_hub(facts, config.base_model))
    files[CARD] = card_of(facts, content, iteration, config.base_model, licence)
    results = eval_results(facts.benchmarks, iteration)
    return Upload(config.push, not config.public, {**files, **{f".eval_results/{n}": t for n, t in results.items()}})


def pushed_iteration(config: Config, facts: RunFacts) -> str:
    """Return the iteration that is uploaded, by default the last one. Raises InputError if it has no model."""
    iteration = _named(config, facts)
    model = facts.run.folder / iteration / "model"
    if iteration == "iter0":
        raise InputError("iter0 is the base model, which is not yours to upload: name another with --iteration")
    if not is_model(model):
        raise InputError(f"{model}: no model to upload; name another iteration with --iteration")
    return iteration


def _named(config: Config, facts: RunFacts) -> str:
    iteration = config.iteration or facts.iterations[-1]
    if iteration == BEST:
        best = best_of_run(facts.run)
        if best is None:
            raise InputError(f"--iteration best: no iteration of {facts.run.folder} was measured yet")
        return best.iteration
    if iteration not in facts.iterations:
        raise InputError(f"--iteration {iteration}: {facts.run.folder} has {', '.join(facts.iterations)}")
    return iteration


def licence_of(config: Config, facts: RunFacts, api: HfApi) -> str | None:
    """Return the licence of the base model: the given one, or what the hub says, or None if that is not known."""
    base = on_hub(facts, config.base_model)
    if config.licence is not None or base is None:
        return config.licence
    try:
        card = api.model_info(base).card_data
    except Exception as error:  # a licence that cannot be asked for is told, and is no reason to stop
        why = f"did not say it: {_reason(error)}" if isinstance(error, HfHubHTTPError) else "cannot be reached"
        say(f"the licence of {base} is not known, because the hub {why}; --licence gives it")
        return None
    licence = card.get("license") if card is not None else None
    return licence if isinstance(licence, str) else None


def push(upload: Upload, api: HfApi, *, update: bool, as_json: bool) -> None:
    """Upload everything in one commit, and print its address. Raises InputError or EngineError if that fails."""
    with _told(upload.name):
        api.create_repo(upload.name, private=upload.is_private, exist_ok=update)
        with _staged(upload) as folder:
            commit = api.upload_folder(
                repo_id=upload.name, folder_path=folder, commit_message="Upload the model of an iteration"
            )
    address = str(commit.commit_url)
    if as_json:
        tell_json({"pushed": upload.name, "private": upload.is_private, "commit": address})
        return
    tell("", f"uploaded {len(upload.files)} files, {upload.n_bytes / 1e6:.1f} MB, to {upload.name}: {address}")


def tell_upload(upload: Upload, *, as_json: bool) -> None:
    """Print what would be uploaded, and the card."""
    if as_json:
        shown = {"private": upload.is_private, "files": list(upload.files), "bytes": upload.n_bytes}
        tell_json({"push": upload.name, **shown, "card": upload.files[CARD]})
        return
    kind = "private" if upload.is_private else "public"
    tell(f"would upload {upload.n_bytes / 1e6:.1f} MB to the {kind} repository {upload.name}:")
    tell(*(f"  {name}" for name in upload.files), "", "the card:", "")
    tell_text(str(upload.files[CARD]))


def check_push(config: Config, n_runs: int) -> None:
    """Raise InputError if the flags of --push do not fit together."""
    if config.push is None:
        given = {
            "--iteration": config.iteration is not None,
            "--public": config.public,
            "--update": config.update,
            "--base-model": config.base_model is not None,
            "--licence": config.licence is not None,
        }
        if names := [name for name, is_given in given.items() if is_given]:
            raise InputError(f"{names[0]} is for --push USER/NAME")
        return
    if n_runs > 1:
        raise InputError("--push uploads a model of one run: name one")
    try:
        validate_repo_id(config.push)
    except HFValidationError:
        raise InputError(f"--push {config.push}: not a name on the hub; give USER/NAME") from None
    if config.push.count("/") != 1:
        raise InputError(f"--push {config.push}: give USER/NAME")
    if not config.dry_run and get_token() is None:
        raise InputError("--push needs your token of the hub: set HF_TOKEN, or run: hf auth login")


def _settings_for_all(model: Path, base: str | None) -> str:
    """Return the settings of an adapter with the name of its base on the hub."""
    settings = settings_of(model)
    named = str(settings["base_model_name_or_path"])
    if base is None and (named.count("/") != 1 or os.path.isabs(named) or named.startswith(".")):
        raise InputError(
            f"{model} is an adapter, and its base {named} is a folder of this machine: name it on the hub with "
            "--base-model USER/NAME, or upload whole weights (--lora.merge in training)"
        )
    is_own = base is None or base == named
    kept = settings if is_own else settings | {"base_model_name_or_path": base, "revision": None}
    return json.dumps(kept, indent=2, sort_keys=True) + "\n"


@contextmanager
def _staged(upload: Upload) -> Iterator[Path]:
    """Give a folder with all files, those of the model as links."""
    with tempfile.TemporaryDirectory() as name:
        for path, part in upload.files.items():
            to = Path(name) / path
            to.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(part, Path):
                to.symlink_to(part.resolve())
            else:
                to.write_text(part, encoding="utf-8")
        yield Path(name)


@contextmanager
def _told(name: str) -> Iterator[None]:
    """Raise the errors of the hub's client in the words of a user."""
    try:
        yield
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else None
        if status == TAKEN:
            raise InputError(f"{name} exists on the hub: give another name, or --update to add a commit") from None
        if status in (REFUSED, FORBIDDEN):
            raise InputError(f"the hub does not let this token write to {name}: {_reason(error)}") from None
        raise EngineError(f"the hub refused the upload to {name}: {_reason(error)}; {AGAIN}") from None
    except OfflineModeIsEnabled:
        raise InputError("HF_HUB_OFFLINE is set, and --push needs the hub: unset it") from None
    except Exception as error:  # the client raises many types, each because the hub cannot be reached
        raise EngineError(f"the hub cannot be reached: {_reason(error)}; {AGAIN}") from None


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:160]
