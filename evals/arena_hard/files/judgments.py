"""Reads model_judgment/<judge>/<model>.jsonl: two games a prompt, and the judge's label of each."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from console.errors import InputError
from console.output import counted
from console.progress import say
from evals.arena_hard.benchmark import BASELINES
from evals.arena_hard.files.answers import files_in
from evals.arena_hard.files.questions import OLDEST, uid_of
from evals.arena_hard.scoring.battles import OF_SECOND, SPELLINGS, Game, Judged
from evals.comparing.naming import listed, name_in
from records.fields.values import shown
from records.files import BadRows, Record
from records.inputs import stem_of
from records.shapes import located

FAILED = "the game is null: its call failed"
NO_LABEL = "the judge's reply has no verdict"
CONTRADICTS = "several rows with different verdicts"
KNOWN_BASELINES = {category: name for baselines in BASELINES.values() for category, name in baselines.items()}


def read_judgments(places: Sequence[Path], bad: BadRows) -> list[Judged]:
    """Return the judgments of files, and of folders of files, each prompt of a model once for each judge.

    Several places may have a judge each, whose verdicts then count together, as in arena-hard-auto's configuration for
    creative writing. A repeated row with a verdict replaces one without. If two verdicts differ, the prompt has none.
    Raises InputError if a place has several judges, or if a category has several baselines.
    """
    judged: list[Judged] = []
    for place in places:
        of_place: list[Judged] = []
        for path in files_in([place]):
            of_place += _each_once(_of_file(path, bad), path)
        _check_one(place, "judges", [prompt.judge for prompt in of_place], "give the files of one judge")
        judged += of_place
    names = ", ".join(map(str, places))
    for category in Counter(prompt.category for prompt in judged):
        baselines = [prompt.baseline for prompt in judged if prompt.category == category]
        _check_one(names, f"baselines of {category}", baselines, "give the files of one baseline")
    n_rows = Counter((prompt.judge, prompt.model, prompt.uid) for prompt in judged)
    if twice := sorted({model for (_, model, _), n in n_rows.items() if n > 1}):
        raise InputError(f"{names}: two files have judgments on {listed(twice)}; give one file for each model")
    if len(judges := judges_of(judged)) > 1:
        say(f"the verdicts of {len(judges)} judges count together: {', '.join(judges)}")
    return judged


def judges_of(judged: Sequence[Judged]) -> list[str]:
    """Return the names of the judges, in the order of their files."""
    return list(dict.fromkeys(prompt.judge for prompt in judged))


def _of_file(path: Path, bad: BadRows) -> list[Judged]:
    return [prompt for _, prompt in located(path, bad, lambda record: [_judged(record, path)])]


def _judged(record: Record, path: Path) -> Judged:
    games = record.get("games")
    if not isinstance(games, list) or len(games) != 2:
        raise InputError(f"'games' must be a list of two games, found {shown(games)}")
    category = name_in(record, "category") or OLDEST
    baseline = name_in(record, "baseline") or KNOWN_BASELINES.get(category)
    if baseline is None:
        raise InputError(f"no 'baseline', and the category '{category}' is none of Arena-Hard's")
    first, second = (_game(game) for game in games)
    judge = name_in(record, "judge") or path.absolute().parent.name
    return Judged(uid_of(record), category, judge, name_in(record, "model") or stem_of(path), baseline, (first, second))


def _game(game: object) -> Game:
    if game is None:
        return Game(None, FAILED)
    if not isinstance(game, dict):
        raise InputError(f"a game must be an object or null, found {shown(game)}")
    label, error = game.get("score"), game.get("error")
    if label is None:
        return Game(None, error if isinstance(error, str) and error.strip() else NO_LABEL)
    spelled = SPELLINGS.get(label, label) if isinstance(label, str) else None
    if spelled not in OF_SECOND:
        return Game(None, f"{shown(label)} is none of {', '.join(OF_SECOND)}")
    return Game(spelled)


def _each_once(judged: Sequence[Judged], path: Path) -> list[Judged]:
    places: dict[tuple[str, str], int] = {}
    unique: list[Judged] = []
    contradicting: set[str] = set()
    for prompt in judged:
        place = places.setdefault((prompt.model, prompt.uid), len(unique))
        if place == len(unique):
            unique.append(prompt)
        elif not unique[place].is_scored:
            unique[place] = prompt  # it was asked again
        elif prompt.is_scored and prompt != unique[place]:
            contradicting.add(prompt.uid)
    if len(unique) < len(judged):
        more = f"; {len(contradicting)} of them contradict the first: these have no verdict" if contradicting else ""
        say(f"{path}: {counted(len(judged) - len(unique), 'repeats')} of another row, not counted{more}")
    without = Game(None, CONTRADICTS)
    return [
        Judged(p.uid, p.category, p.judge, p.model, p.baseline, (without, without)) if p.uid in contradicting else p
        for p in unique
    ]


def _check_one(where: Path | str, what: str, names: Sequence[str], advice: str) -> None:
    counts = Counter(names)
    if len(counts) > 1:
        several = ", ".join(f"{name} ({n})" for name, n in counts.most_common(3))
        raise InputError(f"{where}: judgments with {len(counts)} {what}: {several}; {advice}")
