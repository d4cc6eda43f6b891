"""The answers that stored judgments are about, for style control."""

from collections.abc import Sequence
from pathlib import Path

from console.errors import InputError
from evals.arena_hard.files.answers import Answer, files_in, read_answers
from evals.arena_hard.options import Config
from evals.arena_hard.scoring.battles import Judged
from records.files import BadRows
from records.inputs import stem_of
from records.names import folder_name

FOLDER = "model_answer"
LEVELS_UP = 3
"""From model_judgment/<judge>/<model>.jsonl to the folder that has model_answer too."""


def answers_of(judged: Sequence[Judged], config: Config, bad: BadRows) -> dict[str, dict[str, Answer]]:
    """Return the answers by model and by the ids of their questions.

    They are those of --answers, or of model_answer/ in --data or beside the judgments, of which only the files of the
    judged models and their baselines are read. Raises InputError if two files have the answers of one model.
    """
    answers: dict[str, dict[str, Answer]] = {}
    places: dict[str, Path] = {}
    for path in files_in(config.answers) if config.answers else _files_beside(judged, config):
        of_file = read_answers(path, bad)
        if of_file.model in places:
            raise InputError(f"{places[of_file.model]} and {path} both have the answers of {of_file.model}; keep one")
        places[of_file.model] = path
        answers[of_file.model] = of_file.by_uid
    return answers


def _files_beside(judged: Sequence[Judged], config: Config) -> list[Path]:
    models = {name for prompt in judged for name in (prompt.model, prompt.baseline)}
    names = {name for model in models for name in (model, folder_name(model), model.rpartition("/")[2])}
    near = [place for path in config.judgments for place in (path, *path.absolute().parents[:LEVELS_UP])]
    folders = [place / FOLDER for place in (*([config.data] if config.data else []), *near)]
    folder = next((folder for folder in folders if folder.is_dir()), None)
    inside = sorted(folder.iterdir()) if folder else []
    return [path for path in inside if path.is_file() and stem_of(path) in names]
