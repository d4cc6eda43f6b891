"""The folder of a trained adapter: linked to its base, or merged with it."""

import json
import os
import shutil
from pathlib import Path

import msgspec

from engines.adapters import BASE, SETTINGS, Base, base_digest, recorded_base, weights_folder
from engines.merging import write_merged
from records.leftovers import temporary_folder
from trainer.training.lora.adapter import REFERENCE


def finish_adapter(folder: Path, *, merge: bool) -> None:
    """Link the adapter that PEFT has written to `folder` to its base, or with `merge` write whole weights instead."""
    (folder / "README.md").unlink(missing_ok=True)  # PEFT's, all of whose fields are empty
    shutil.rmtree(folder / REFERENCE, ignore_errors=True)  # the frozen copy that GRPO compares with
    path = folder / SETTINGS
    settings = json.loads(path.read_text(encoding="utf-8"))
    base = Path(settings["base_model_name_or_path"]).resolve()
    layers = settings["target_modules"]
    # sorted, because the order of PEFT's set is another in each process
    settings |= {"target_modules": sorted(layers) if isinstance(layers, list) else layers} | _place_of(base)
    path.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    link = Base(digest=base_digest(base), path=os.path.relpath(base, folder.resolve()))
    (folder / BASE).write_bytes(msgspec.json.encode(link))
    if merge:
        unmerged = temporary_folder(folder)
        shutil.rmtree(unmerged, ignore_errors=True)
        folder.rename(unmerged)
        write_merged(unmerged, folder)
        shutil.rmtree(unmerged)


def relinked(folder: Path, place: Path) -> None:
    """Let an adapter in `folder`, if it is one, find its base once the folder is at `place`."""
    link = recorded_base(folder)
    if link is None:
        return
    data = msgspec.json.encode(Base(digest=link.digest, path=os.path.relpath(weights_folder(folder), place.resolve())))
    (folder / BASE).unlink()  # it may be a hard link, which shares its bytes
    (folder / BASE).write_bytes(data)


def _place_of(base: Path) -> dict[str, str | None]:
    """Return where a base is, in PEFT's words: a hub's snapshot by its id and commit, and a folder by its path."""
    owner, _, name = base.parent.parent.name.removeprefix("models--").partition("--")
    if base.parent.name == "snapshots" and base.parent.parent.name.startswith("models--"):
        return {"base_model_name_or_path": f"{owner}/{name}" if name else owner, "revision": base.name}
    return {"base_model_name_or_path": str(base), "revision": None}
