"""Finds the checkpoints, picks one, and prints the comparisons."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from console.errors import InputError
from console.output import say, tell, tell_plan
from console.table import Cell, print_table
from engines.options import EngineOptions, beside_training, check_engine, open_engine, pinned
from judges.judging.judge import open_judge
from judges.rubrics.checked import checked_rubric
from records import Prompt, read_rows, text_of
from records.files import BadRows
from records.runs import find_run
from records.shapes import read_prompts
from trainer.early_stop.options import PROMPTS, Config, EarlyStopOptions, check_options
from trainer.early_stop.pick import Round, answered, pick_checkpoint
from trainer.training.checkpoints import checkpoints_in


def pick_and_print(config: Config) -> None:
    """Find the checkpoints, compare them and print the rounds and the pick."""
    config = replace(config, engine=pinned(config.engine))
    check_options(config.stop)
    folder = _checkpoint_folder(config.folder)
    checkpoints = checkpoints_in(folder)
    if not checkpoints:
        raise InputError(f"{folder}: no complete checkpoint step-N; train with --checkpoints and --every-n-steps")
    source = config.prompts or folder.parent / "early_stop" / PROMPTS
    if not source.exists():
        raise InputError(f"no held-out prompts at {source}; name a file of them with --prompts, not the reported ones")
    prompts = list(read_prompts(source, BadRows(strict=config.strict)))
    _warn_of_reported(prompts, folder.parent.parent / "eval" / PROMPTS)
    if config.dry_run:
        n = min(len(prompts), config.stop.n_prompts)
        check_engine(config.engine)
        checked_rubric(config.judge)
        plan = {"checkpoints": len(checkpoints), "of": folder, "prompts": n, "orders": 2}
        text = f"would compare {len(checkpoints)} checkpoints of {folder} on {n} prompts, two orders each"
        tell_plan(plan, text, as_json=config.json)
        return
    judge = open_judge(open_engine(beside_training(config.engine)), config.judge, config.seed)
    out = folder / "early_stop"
    answer = answered(out, config.answer_tokens, EngineOptions(batch_size=config.engine.batch_size), config.seed)
    picked = pick_checkpoint(checkpoints, prompts, answer, judge, out, config.stop, config.judge.min_coverage)
    print_table([_row(comparison, config.stop) for comparison in picked.rounds], as_json=config.json)
    if not config.json:
        tell("", f"picked: {picked.path}")


def _warn_of_reported(prompts: Sequence[Prompt], reported: Path) -> None:
    """Warn if some of the prompts are among those that the run reports on."""
    if not reported.exists():
        return
    known = {text_of(prompt.prompt) for prompt in read_rows(reported, Prompt)}
    if n := sum(text_of(prompt.prompt) in known for prompt in prompts):
        say(f"{n} of {len(prompts)} prompts are in {reported}: picking by them inflates the results on them")


def _checkpoint_folder(given: Path | None) -> Path:
    """Return the folder of checkpoints: `given`, or that of the newest iteration of the run `given`."""
    if given is None:
        raise InputError("name a folder of checkpoints or a run: python -m trainer.early_stop FOLDER")
    if any(given.glob("step-*")):
        return given
    run_folder = find_run(str(given))
    newest = run_folder.newest("checkpoints", grows=False)
    if newest is None:
        raise InputError(f"{run_folder.folder}: no iteration has a folder checkpoints/")
    return newest


def _row(comparison: Round, options: EarlyStopOptions) -> dict[str, Cell]:
    return {
        "checkpoint": comparison.checkpoint.name,
        "against": comparison.against.name,
        "win rate, %": 100 * comparison.win_rate,
        "prompts": comparison.n,
        "ties": comparison.n_ties,
        "flipped, %": 100 * comparison.n_flipped / comparison.n,
        "unscored": comparison.n_unscored,
        "better": "yes" if comparison.won(options.min_win_rate) else "no",
    }
