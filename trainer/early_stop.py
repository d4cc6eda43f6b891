"""Pick the checkpoint of a training after which it got no better, by a judge that compares answers.

python -m trainer.early_stop runs/dpo/checkpoints --prompts prompts.jsonl
python -m trainer.early_stop runs/demo --model iter1
python -m trainer.early_stop runs/dpo/checkpoints --engine openai --model gpt-5-mini --read text --patience 2

RUN_OR_FOLDER has the checkpoints step-N: a folder, or a run, whose newest iteration with checkpoints is taken. Each
checkpoint answers the prompts, and is compared with the best before it, in both orders (Self-Rewarding, section 3.1.4).
The prompts must be others than those that the model is reported on: the pick would seem better than it is. --model is
the judge. Stopped and started again, it goes on where it was.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Annotated

import tyro

from console.again import starts_again
from console.command import Flags, Given, run
from console.errors import InputError
from console.output import say, tell, tell_plan
from console.ranges import Count, ShareBelow1, check_ranges
from engines.options import EngineOptions, SharedEngineOptions, pinned
from judges.options import JudgeOptions

if TYPE_CHECKING:
    from console.table import Cell
    from judges.judging.judge import Judge
    from records import Comparison, Prompt, Response

    Answer = Callable[[Path, Sequence[Prompt]], Sequence[Response]]

PROMPTS = "prompts.jsonl"
"""In a round's folder early_stop/: what its checkpoints were compared on."""
PAIRWISE = JudgeOptions(rubric="pairwise", samples=1)


@dataclass(frozen=True)
class EarlyStopOptions:
    """When a training has got no better."""

    every_n_steps: Count = 200
    """Optimiser steps between two checkpoints, while training."""
    n_prompts: Count = 253
    """Prompts to compare on, at most; they are others than those that are reported on."""
    patience: Count = 1
    """Stop after so many checkpoints in a row that do not win."""
    min_win_rate: ShareBelow1 = 0.5
    """A checkpoint wins where it is preferred on more than this share of the prompts, a tie counting half."""


@dataclass(frozen=True)
class Round:
    """One checkpoint against the best before it."""

    checkpoint: Path
    against: Path
    win_rate: float
    n: int
    """Prompts with a verdict."""
    n_ties: int
    """Verdicts that are ties; where the two orders name different winners it is one."""
    n_unscored: int
    n_flipped: int = 0
    """Verdicts whose two orders named different winners."""

    def won(self, min_win_rate: float) -> bool:
        """Return whether the checkpoint is better than the one before."""
        return self.win_rate > min_win_rate


@dataclass(frozen=True)
class Picked:
    """The checkpoint to go on with, and how it was found."""

    path: Path
    rounds: list[Round]


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Pick a checkpoint."""

    folder: Given = None
    """A folder of checkpoints step-N, or a run."""
    prompts: Path | None = None
    """Prompts that nothing learns from or reports on; the default is the iteration's early_stop/prompts.jsonl."""
    answer_tokens: Count = 256
    """The longest answer of a checkpoint, in tokens; --max-new-tokens is the judge's."""
    engine: SharedEngineOptions = field(default_factory=EngineOptions)
    judge: Annotated[JudgeOptions, tyro.conf.OmitArgPrefixes] = PAIRWISE
    stop: Annotated[EarlyStopOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=EarlyStopOptions)


@starts_again
def main(config: Config) -> None:
    """Find the checkpoints, compare them and print the rounds and the pick."""
    config = replace(config, engine=pinned(config.engine))
    from console.table import print_table
    from engines.options import check_engine, open_engine
    from judges.judging.judge import checked_rubric, open_judge
    from records.files import BadRows
    from records.shapes import read_prompts
    from trainer.training.checkpoints import checkpoints_in

    check_options(config.stop)
    folder = _checkpoint_folder(config.folder)
    checkpoints = checkpoints_in(folder)
    if not checkpoints:
        raise InputError(f"{folder}: no whole checkpoint step-N; train with checkpoints every so many steps")
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
        said = f"would compare {len(checkpoints)} checkpoints of {folder} on {n} prompts, two orders each"
        tell_plan(plan, said, as_json=config.json)
        return
    judge = open_judge(open_engine(config.engine), config.judge, config.seed)
    out = folder / "early_stop"
    answer = answered(out, config.answer_tokens, config.engine.batch_size, config.seed)
    picked = pick_checkpoint(checkpoints, prompts, answer, judge, out, config.stop, config.judge.min_coverage)
    print_table([_row(one, config.stop) for one in picked.rounds], as_json=config.json)
    if not config.json:
        tell("", f"picked: {picked.path}")


def pick_checkpoint(
    checkpoints: "Sequence[Path]",
    prompts: "Sequence[Prompt]",
    answer: "Answer",
    judge: "Judge",
    out: Path,
    options: EarlyStopOptions,
    min_coverage: float = 0.9,
) -> Picked:
    """Return the last of `checkpoints`, in the order of their steps, that won against the best before it.

    A checkpoint answers only when its turn comes, so the ones after the stop cost nothing; comparisons are stored in
    `out`. To compare the first checkpoint with the model that the training began with, put that in front. Raises
    InputError where there is none, JudgeError where too few prompts got a verdict.
    """
    from judges.judging.pairwise import flip_warning

    check_options(options)
    if not checkpoints or not prompts:
        raise InputError("early stopping needs a checkpoint and a held-out prompt at least")
    if len(checkpoints) == 1:
        return Picked(checkpoints[0], [])
    chosen = list(prompts)[: options.n_prompts]
    best, best_answers = checkpoints[0], answer(checkpoints[0], chosen)
    rounds: list[Round] = []
    n_lost = 0
    for checkpoint in checkpoints[1:]:
        answers = answer(checkpoint, chosen)
        rows = _compared(best_answers, answers, judge, out, f"{checkpoint.name} against {best.name}")
        rounds.append(_round(checkpoint, best, rows, len(chosen), min_coverage))
        title = f"{checkpoint.name} against {best.name}"
        if warning := flip_warning(title, rounds[-1].n_flipped, rounds[-1].n):
            say(warning)
        if rounds[-1].won(options.min_win_rate):
            best, best_answers, n_lost = checkpoint, answers, 0
            continue
        n_lost += 1
        if n_lost == options.patience:
            break
    return Picked(best, rounds)


def answered(folder: Path, max_new_tokens: int, batch_size: int, seed: int, temperature: float = 0.7) -> "Answer":
    """Return a function that lets the model of a checkpoint answer prompts; the answers are stored in `folder`."""
    import gc

    from engines.answers import answer_into
    from engines.local.transformers_engine import TransformersEngine
    from engines.protocol import Sampling
    from records import Response, Store

    def answer(checkpoint: Path, prompts: "Sequence[Prompt]") -> "Sequence[Response]":
        engine = TransformersEngine.load(checkpoint, checkpoint.name, batch_size)
        with Store(folder / f"{checkpoint.name}.jsonl", Response) as store:
            sampling = Sampling(max_new_tokens, temperature)
            found = answer_into(store, engine, prompts, sampling, seed=seed, title=f"{checkpoint.name} answers")
        del engine
        gc.collect()
        return found

    return answer


def check_options(options: EarlyStopOptions) -> None:
    """Raise InputError where a setting is out of range."""
    check_ranges(options)


def _warn_of_reported(prompts: "Sequence[Prompt]", reported: Path) -> None:
    """Say how many prompts are among those that the run reports on."""
    from console.progress import say
    from records import Prompt, read_rows, text_of

    if not reported.exists():
        return
    known = {text_of(prompt.prompt) for prompt in read_rows(reported, Prompt)}
    if n := sum(text_of(prompt.prompt) in known for prompt in prompts):
        say(f"{n} of {len(prompts)} prompts are in {reported}: what is picked by them seems better on them than it is")


def _compared(
    before: "Sequence[Response]", after: "Sequence[Response]", judge: "Judge", out: Path, title: str
) -> "list[Comparison]":
    from judges.judging.contests import contest_of
    from judges.judging.pairwise import both_orders_answered, compare_into
    from records import Comparison, Store

    by_prompt = {row.prompt_id: row for row in before}
    contests = [contest_of(by_prompt[row.prompt_id], row) for row in after if row.prompt_id in by_prompt]
    with Store(out / "comparisons.jsonl", Comparison, keep=both_orders_answered) as store:
        return compare_into(store, judge, contests, title)


def _round(checkpoint: Path, against: Path, rows: "list[Comparison]", n_prompts: int, min_coverage: float) -> Round:
    from judges.judging.judge import require_coverage

    winners = [row.winner for row in rows if row.winner is not None]
    reasons = Counter(row.error or "unknown" for row in rows if row.winner is None)
    reasons["a checkpoint has no answer"] += n_prompts - len(rows)
    require_coverage(len(winners), n_prompts, reasons, max(min_coverage, 1 / n_prompts), rows[0].read if rows else None)
    points = [{"a": 0.0, "tie": 0.5, "b": 1.0}[winner] for winner in winners]
    n_flipped = sum(bool(row.flipped) for row in rows)
    n, n_ties = len(winners), winners.count("tie")
    return Round(checkpoint, against, fmean(points), n, n_ties, n_prompts - n, n_flipped)


def _checkpoint_folder(given: Path | None) -> Path:
    """Return the folder with the checkpoints: `given`, or those of the newest iteration of the run `given`."""
    from records.runs import find_run

    if given is None:
        raise InputError("name a folder of checkpoints or a run: python -m trainer.early_stop RUN_OR_FOLDER")
    if any(given.glob("step-*")):
        return given
    run_folder = find_run(str(given))
    newest = run_folder.newest("checkpoints", grows=False)
    if newest is None:
        raise InputError(f"{run_folder.folder}: no iteration has a folder checkpoints/")
    return newest


def _row(one: Round, options: EarlyStopOptions) -> "dict[str, Cell]":
    return {
        "checkpoint": one.checkpoint.name,
        "against": one.against.name,
        "win rate, %": 100 * one.win_rate,
        "prompts": one.n,
        "ties": one.n_ties,
        "flipped, %": 100 * one.n_flipped / one.n,
        "unscored": one.n_unscored,
        "better": "yes" if one.won(options.min_win_rate) else "no",
    }


if __name__ == "__main__":
    run(Config, main, "python -m trainer.early_stop")
