"""The work of measuring an iteration, for the plan and the progress of a run."""

from collections.abc import Iterator
from dataclasses import replace

from judges.options import JudgeOptions
from judges.rubrics.rubric import load_rubric
from trainer.loop.judging.answers import round_judging_work
from trainer.loop.judging.judges import round_judges
from trainer.loop.plan.work import Lengths, Work, answering_work, judging_work
from trainer.loop.recipe import Config


def measuring_work(number: int, lengths: Lengths, config: Config) -> Iterator[Work]:
    """Yield the work of measuring an iteration, called as its progress. The rows of the plan are of all iterations."""
    name, judge, n_each = f"iter{number}", config.judge, config.eval.prompts
    n_answers, rubric = n_each * config.eval.n, load_rubric(judge.rubric)
    answers = answering_work(f"{name} held-out answers", n_answers, lengths)
    yield replace(answers, row="held-out answers", files=(f"eval/{name}.jsonl",))
    by_others = bool(round_judges(config.judge, config.panel))
    if not by_others:
        own = judging_work(f"{name} judging its own", n_answers, rubric, judge, lengths)
        yield replace(own, row="held-out scores")
    if config.monitors.labelled is not None:
        n_labelled = 2 * config.monitors.labelled_limit
        labelled = judging_work(f"{name} judging labelled answers", n_labelled, rubric, judge, lengths)
        yield replace(labelled, row="judge accuracy")
    if config.monitors.kl and number > 0:
        n_answer = lengths.prompt + lengths.answer
        for title in (f"{name} likelihoods", f"iter0 reading {name} likelihoods"):
            yield Work(title, "answer", n_read=n_answers * n_answer, n_widest=n_answer, row="KL to iter0")
    if by_others:
        yield from round_judging_work(f"{name} held-out judging", number, n_answers, lengths, config, "held-out scores")
    if config.eval.score and (by_others or number != config.eval.judge):  # else its own scores are the frozen judge's
        frozen = judging_work(f"{name} held-out scores", n_each, rubric, judge, lengths)
        yield replace(frozen, row="held-out scores")
    if config.eval.compare and number > 0:
        pair, comparer = load_rubric(config.eval.rubric), pairwise(judge, config.eval.rubric)
        compared = judging_work(f"{name} held-out comparisons", 2 * n_each, pair, comparer, lengths)
        yield replace(compared, row="held-out comparisons")


def pairwise(options: JudgeOptions, rubric: str) -> JudgeOptions:
    """Return the options of the judge that compares the answers of two iterations."""
    return replace(options, rubric=rubric, samples=1, calibration=None)
