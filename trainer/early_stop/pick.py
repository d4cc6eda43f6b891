"""Picks the last checkpoint that won against the best before it."""

import gc
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from console.errors import InputError
from console.output import say
from engines.answers import answer_into
from engines.options import EngineOptions
from engines.protocol import Sampling
from engines.trained import open_trained
from judges.judging.contests import contest_of
from judges.judging.coverage import require_coverage
from judges.judging.judge import Judge
from judges.judging.pairwise import both_orders_answered, compare_into
from judges.judging.win_rate import flip_warning
from records import Comparison, Prompt, Response, Store
from trainer.early_stop.options import EarlyStopOptions, check_options

Answer = Callable[[Path, Sequence[Prompt]], Sequence[Response]]
"""Lets the model of a checkpoint answer prompts."""


@dataclass(frozen=True)
class Round:
    """The comparison of a checkpoint with the best before it."""

    checkpoint: Path
    against: Path
    win_rate: float
    n: int
    """Prompts with a verdict."""
    n_ties: int
    """Ties among the verdicts. Two orders that name different winners make a tie."""
    n_unscored: int
    n_flipped: int = 0
    """Verdicts whose two orders named different winners."""

    def won(self, min_win_rate: float) -> bool:
        """Return whether the checkpoint is better than the one before."""
        return self.win_rate > min_win_rate


@dataclass(frozen=True)
class Picked:
    """The chosen checkpoint and the comparisons that led to it."""

    path: Path
    rounds: list[Round]


def pick_checkpoint(
    checkpoints: Sequence[Path],
    prompts: Sequence[Prompt],
    answer: Answer,
    judge: Judge,
    out: Path,
    options: EarlyStopOptions,
    min_coverage: float = 0.9,
) -> Picked:
    """Return the last of `checkpoints`, in the order of their steps, that beat the best before it.

    A checkpoint answers only when its turn comes, so those after the stop cost nothing. Comparisons are stored in
    `out`. To compare the first checkpoint with the model at the start of the training, put that model first. Raises
    InputError without a checkpoint or prompt, JudgeError if too few prompts get a verdict.
    """
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


def answered(folder: Path, max_new_tokens: int, options: EngineOptions, seed: int, temperature: float = 0.7) -> Answer:
    """Return a function that lets a checkpoint's model answer prompts. The answers are stored in `folder`."""

    def answer(checkpoint: Path, prompts: Sequence[Prompt]) -> Sequence[Response]:
        engine = open_trained(checkpoint, checkpoint.name, options)
        with Store(folder / f"{checkpoint.name}.jsonl", Response) as store:
            sampling = Sampling(max_new_tokens, temperature)
            responses = answer_into(store, engine, prompts, sampling, seed=seed, title=f"{checkpoint.name} answers")
        del engine
        gc.collect()
        return responses

    return answer


def _compared(
    before: Sequence[Response], after: Sequence[Response], judge: Judge, out: Path, title: str
) -> list[Comparison]:
    by_prompt = {response.prompt_id: response for response in before}  # by prompt: either may lack an answer
    contests = [
        contest_of(by_prompt[response.prompt_id], response) for response in after if response.prompt_id in by_prompt
    ]
    with Store(out / "comparisons.jsonl", Comparison, keep=both_orders_answered) as store:
        return compare_into(store, judge, contests, title)


def _round(checkpoint: Path, against: Path, rows: list[Comparison], n_prompts: int, min_coverage: float) -> Round:
    winners = [comparison.winner for comparison in rows if comparison.winner is not None]
    reasons = Counter(comparison.error or "unknown" for comparison in rows if comparison.winner is None)
    reasons["a checkpoint has no answer"] += n_prompts - len(rows)
    # A win rate needs one verdict at least, even if the coverage asked for is 0.
    least, read = max(min_coverage, 1 / n_prompts), rows[0].read if rows else None
    require_coverage(len(winners), n_prompts, least, reasons=reasons, read=read)
    points = [{"a": 0.0, "tie": 0.5, "b": 1.0}[winner] for winner in winners]
    n_flipped = sum(bool(comparison.flipped) for comparison in rows)
    n, n_ties = len(winners), winners.count("tie")
    return Round(checkpoint, against, fmean(points), n, n_ties, n_prompts - n, n_flipped)
