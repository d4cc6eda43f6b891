"""Finds an annotator's configuration, and says before anything is asked if it cannot be used."""

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from console.errors import InputError
from console.reading import read_text
from evals.alpaca.package import package_folder

FILE = "configs.yaml"
ASKED_BY = "openai_completions"
BIASES = ("tokens_to_avoid", "tokens_to_favor")
CHAT = "<|im_start|>"


@dataclass(frozen=True)
class AnnotatorConfig:
    """One of the package's annotators, or one of the user's in the same form."""

    name: str
    path: Path
    models: tuple[str, ...]
    """The models of its members: one, or several in a pool."""

    def called(self, model: str | None) -> str:
        """Return the annotator's name in results: with another model than its own it is another annotator."""
        return self.name if model is None or {model} == set(self.models) else f"{self.name}@{model}"


def annotator_names() -> list[str]:
    """Return the names of the package's annotators."""
    return sorted(path.parent.name for path in _folder().glob(f"*/{FILE}"))


def annotator_config(name: str) -> AnnotatorConfig:
    """Return the annotator of the package with this name, or of a folder or YAML file.

    Raises InputError if there is none, or if it cannot be asked of an OpenAI-compatible chat server.
    """
    path = Path(name)
    if path.is_dir() and (path / FILE).is_file():
        path = path / FILE
    elif not path.is_file():
        path = _folder() / name / FILE
    if not path.is_file():
        near = difflib.get_close_matches(name, annotator_names(), 3)
        nearest = difflib.get_close_matches(name, annotator_names(), 3, cutoff=0.0)
        hint = f"do you mean {' or '.join(near)}?" if near else f"the nearest names are {', '.join(nearest)}"
        raise InputError(f"--annotator {name}: no such annotator, folder or YAML file; {hint}")
    members = _members(path)
    for member in members.values():
        _check(path, member)
    models = tuple(str(member["completions_kwargs"]["model_name"]) for member in members.values())
    return AnnotatorConfig(path.resolve().parent.name, path.resolve(), tuple(dict.fromkeys(models)))


def _folder() -> Path:
    return package_folder() / "evaluators_configs"


def _members(path: Path) -> dict[str, dict[str, Any]]:
    try:
        members = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not YAML: {' '.join(str(error).split())[:120]}") from None
    whole = isinstance(members, dict) and members and all(
        isinstance(member, dict) and isinstance(member.get("completions_kwargs"), dict)
        and "model_name" in member["completions_kwargs"] and "prompt_template" in member
        for member in members.values()
    )  # fmt: skip
    if not whole:
        raise InputError(f"{path}: not an annotator: it needs prompt_template and completions_kwargs with model_name")
    return dict(members)


def _check(path: Path, member: dict[str, Any]) -> None:
    asked_by = member.get("fn_completions", ASKED_BY)
    if asked_by != ASKED_BY:
        raise InputError(f"{path}: asks with '{asked_by}', and only {ASKED_BY} can be asked of a server here")
    if bias := next((name for name in BIASES if member["completions_kwargs"].get(name)), None):
        raise InputError(f"{path}: '{bias}' needs the tokenizer of OpenAI's model, which a server does not give")
    template = path.parents[1] / str(member["prompt_template"])
    if not template.is_file() or not read_text(template).lstrip().startswith(CHAT):
        raise InputError(f"{path}: its prompt template is no chat ({CHAT}), and only chats are asked here")
