"""Reads votes and comparisons, and reports what people say of the models and of the judge."""

from collections.abc import Mapping
from pathlib import Path

from console.errors import InputError
from console.output import tell_plan
from evals.human.figures import Figures, figures_of
from evals.human.joining import Winners, answer_files, ids_in, joined, read_comparisons
from evals.human.options import Config
from evals.human.report import print_result, write_result
from records import Comparison
from records.runs import RUNS, Run, find_run
from records.votes import Key, read_votes


def evaluate(config: Config) -> None:
    """Join, measure, write human.json and print the tables. Raises InputError if no vote is on a comparison."""
    run = None if config.votes is not None and config.run is None else find_run(config.run)
    votes, files = _votes_path(config, run), _comparison_files(config, run)
    out = config.out or (run.folder if run else RUNS) / "evals" / "human"
    if config.dry_run:
        plan = {"votes": str(votes), "comparisons": list(map(str, files)), "calls": 0, "out": str(out)}
        lines = (f"votes: {votes}", f"comparisons: {', '.join(map(str, files))}", f"results: {out}; no model is asked")
        tell_plan(plan, *lines, as_json=config.json)
        return
    by_pair = _of_voter(read_votes(votes, strict=config.strict), config.voter)
    if not by_pair:
        of = f" by {config.voter}" if config.voter else ""
        raise InputError(f"{votes}: no vote{of} in it; vote with python -m tui")
    comparisons = list(read_comparisons(files))
    prompts = {prompt_id for prompt_id, _ in by_pair}
    ids = ids_in(answer_files(run) if run else [], prompts)
    figures = _figures(by_pair, comparisons, ids, config)
    if not figures:
        raise InputError(
            f"{votes}: no vote is on a comparison in {', '.join(map(str, files))}; name theirs with --comparisons"
        )
    path = write_result(out, figures)
    print_result(figures, path, as_json=config.json)


def _figures(
    by_pair: Mapping[Key, Winners], comparisons: list[Comparison], ids: dict[tuple[str, str], set[str]], config: Config
) -> list[Figures]:
    """Return the figures of each two models and judge that were voted on."""
    groups: dict[tuple[str, str, str], list[Comparison]] = {}
    for row in comparisons:
        groups.setdefault(_match(row), []).append(row)
    voted = joined(by_pair, comparisons, ids)
    figures = []
    for group, rows in groups.items():
        of_group = [vote for vote in voted if _match(vote.comparison) == group]
        if of_group:
            figures.append(figures_of(of_group, rows, config.resamples, config.seed))
    return figures


def _match(row: Comparison) -> tuple[str, str, str]:
    return row.model_a, row.model_b, row.judge


def _of_voter(by_pair: Mapping[Key, Winners], voter: str | None) -> dict[Key, Winners]:
    if voter is None:
        return dict(by_pair)
    return {key: {voter: votes[voter]} for key, votes in by_pair.items() if voter in votes}


def _votes_path(config: Config, run: Run | None) -> Path:
    path = config.votes or (run.folder / "votes.jsonl" if run else None)
    assert path is not None, "a run is found unless there are --votes"
    if not path.is_file():
        raise InputError(f"{path}: no such file: nobody has voted yet; vote with python -m tui, or give --votes")
    return path


def _comparison_files(config: Config, run: Run | None) -> list[Path]:
    if config.comparisons:
        return list(config.comparisons)
    if run is None:
        raise InputError("--votes without a run: give --comparisons, the file of what was voted on")
    own = [run.folder / "eval" / "comparisons.jsonl", *sorted(run.folder.glob("evals/head_to_head*/comparisons.jsonl"))]
    files = [path for path in own if path.is_file()]
    if not files:
        raise InputError(
            f"{run.folder}: no comparisons in it: set eval.compare = true in the recipe, run python -m "
            "evals.head_to_head, or give --comparisons"
        )
    return files
