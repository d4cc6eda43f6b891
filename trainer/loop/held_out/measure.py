"""Measures an iteration on held-out prompts: what its answers follow, score and win rate by one judge, and monitors."""

import gc
from dataclasses import replace
from statistics import fmean

import msgspec

from engines.local.transformers_engine import TransformersEngine
from engines.options import EngineOptions
from judges.judging.judge import Judge, has_every_reply, judge_into, open_judge
from judges.judging.pairwise import Contest, both_orders_answered, compare_into
from judges.judging.win_rate import WinRate, win_rate
from judges.rubrics.rubric import load_rubric
from judges.tools.constraints.checking import check_constraints
from records import Comparison, Judgment, Prompt, Response, Store
from records.rows import request_text
from records.runs import Run
from records.store import read_rows, write_atomic, write_rows
from trainer.loop.gather import candidates
from trainer.loop.held_out.figures import IterationFigures
from trainer.loop.held_out.files import answers_path, checks_path, eval_path, metrics_path, prompts_path
from trainer.loop.held_out.work import pairwise
from trainer.loop.judging.answers import RoundJudges
from trainer.loop.judging.judges import round_judges
from trainer.loop.recipe import CandidateOptions, Config
from trainer.monitors.compute import monitors_of
from trainer.monitors.following import CheckedAnswer, Following, following_of
from trainer.monitors.judge_accuracy import JudgeAccuracy, judge_accuracy
from trainer.monitors.kl import KL, AnswerLikelihood, kl_of, likelihoods_into
from trainer.runs.models import open_model, open_reader


def measure(run: Run, number: int, prompts: list[Prompt], config: Config) -> IterationFigures:
    """Return the figures of iteration `number` and write its metrics.json. The judge's iteration must exist.

    Models are loaded in turn: the iteration's own, iter0 for the divergence from it, the rounds' judges if they are
    others, and the judge of all iterations.
    """
    done = metrics_path(run, number)
    if done.exists():
        return msgspec.json.decode(done.read_bytes(), type=IterationFigures)
    write_rows(prompts_path(run), prompts)
    output = _output(run, number, prompts, config)
    gc.collect()
    kl = _kl(run, number, output, config.engine)
    if round_judges(config.judge, config.panel):
        judgments = _scores_by_others(run, number, _scored(output.answers, output.checked, config), config)
        output = msgspec.structs.replace(output, judgments=judgments)
    measured = _judged(run, number, output, kl, config)
    write_atomic(done, msgspec.json.format(msgspec.json.encode(measured)))
    return measured


class _Output(msgspec.Struct, frozen=True):
    """The output of the iteration's own model, and the scores of its answers by the judge that makes the pairs."""

    answers: list[Response]
    checked: list[CheckedAnswer]
    judgments: list[Judgment]
    accuracy: JudgeAccuracy | None
    likelihoods: list[AnswerLikelihood]


def _output(run: Run, number: int, prompts: list[Prompt], config: Config) -> _Output:
    name, engine = f"iter{number}", open_model(run, number, config.engine)
    asked, title = held_out_sampling(config), f"{name} held-out answers"
    answers = candidates(answers_path(run, number), engine, prompts, asked, config.seed, title)
    checked = _checked(prompts, answers)
    write_rows(checks_path(run, number), checked)
    judge = open_judge(engine, config.judge, config.seed)
    by_parent = not round_judges(config.judge, config.panel)
    scored = _scored(answers, checked, config) if by_parent else []
    judgments = _scores(run, judge, scored, f"{name} judging its own")
    labelled = config.monitors.labelled
    folder = run.folder / "eval" / "labelled" / name
    accuracy = None
    if labelled is not None:
        accuracy = judge_accuracy(judge, labelled, folder, config.monitors.labelled_limit, config.seed)
    if not config.monitors.kl or number == 0:
        return _Output(answers, checked, judgments, accuracy, [])
    # now, while the model is loaded; those under iter0 come later
    reader = engine if isinstance(engine, TransformersEngine) else None
    del engine, judge  # vLLM's memory is needed, if it is no reader
    likelihoods = _likelihoods(run, reader or open_reader(run, number, config.engine), answers, name)
    return _Output(answers, checked, judgments, accuracy, likelihoods)


def held_out_sampling(config: Config) -> CandidateOptions:
    """Return how held-out answers are sampled: as the candidates, but for what [eval] says."""
    options, sampling = config.eval, config.candidates
    return replace(
        sampling,
        n=options.n,
        temperature=sampling.temperature if options.temperature is None else options.temperature,
        top_p=sampling.top_p if options.top_p is None else options.top_p,
    )


def _scored(answers: list[Response], checked: list[CheckedAnswer], config: Config) -> list[Response]:
    """Return the answers that the round's judge scores: all, or those of known pairs alone."""
    if config.eval.score:
        return answers
    outcomes: dict[str, set[bool]] = {}
    for row in checked:
        if row.follows is not None:
            outcomes.setdefault(row.prompt_id, set()).add(row.follows)
    return [answer for answer in answers if len(outcomes.get(answer.prompt_id, ())) > 1]  # both outcomes: a known pair


def _checked(prompts: list[Prompt], answers: list[Response]) -> list[CheckedAnswer]:
    """Return what a program finds for the constraints of the answers' prompts, if there are any."""
    by_id = {prompt.id: prompt for prompt in prompts}
    rows = []
    for answer in answers:
        prompt = by_id[answer.prompt_id]
        checks = check_constraints(request_text(prompt.prompt), answer.response, prompt.constraints or [])
        rows.append(CheckedAnswer(response_id=answer.id, prompt_id=prompt.id, checks=checks))
    return rows


def _scores_by_others(run: Run, number: int, answers: list[Response], config: Config) -> list[Judgment]:
    """Return the scores of held-out answers by the recipe's other judge, or by its panel with this iteration in it."""
    judges = RoundJudges(run, number, config)
    return judges.judge(eval_path(run, "judgments"), answers, f"iter{number} held-out judging", shared=True)


def _kl(run: Run, number: int, output: _Output, options: EngineOptions) -> KL | None:
    if not output.likelihoods:
        return None
    engine = open_reader(run, 0, options)
    base = _likelihoods(run, engine, output.answers, f"iter0 reading iter{number}")
    del engine
    gc.collect()
    return kl_of(output.likelihoods, base)


def _judged(run: Run, number: int, output: _Output, kl: KL | None, config: Config) -> IterationFigures:
    first = _first_of_each(output.answers)
    frozen, rate = _by_frozen_judge(run, number, first, config)
    scores = [judgment.score for judgment in frozen if judgment.score is not None]
    following = _following(run, number, output, config.seed)
    base = metrics_path(run, 0)
    monitors = monitors_of(
        number,
        output.answers,
        output.judgments if config.eval.score else [],  # those of known pairs alone are no sample
        load_rubric(config.judge.rubric),
        frozen=frozen,
        base=msgspec.json.decode(base.read_bytes(), type=IterationFigures).monitors if number else None,
        accuracy=output.accuracy,
        kl=kl,
        following=following,
        seed=config.seed,
        self_bleu_pairs=config.monitors.self_bleu_pairs,
    )
    return IterationFigures(
        iteration=number,
        judge=f"iter{config.eval.judge}",
        n_prompts=len(first),
        n_unscored=len(frozen) - len(scores),
        mean_score=fmean(scores) if scores else None,
        mean_chars=fmean(len(answer.response) for answer in output.answers),
        win_rate=rate,
        following=following,
        monitors=monitors,
    )


def _by_frozen_judge(
    run: Run, number: int, answers: list[Response], config: Config
) -> tuple[list[Judgment], WinRate | None]:
    """Return the scores and the win rate by the judge that stays the same for the whole run, as far as asked for."""
    compare = number > 0 and config.eval.compare
    if not config.eval.score and not compare:
        return [], None  # its model need not be loaded
    engine = open_model(run, config.eval.judge, config.engine)
    judge = open_judge(engine, config.judge, config.seed)
    frozen = _scores(run, judge, answers, f"iter{number} held-out scores") if config.eval.score else []
    comparer = open_judge(engine, pairwise(config.judge, config.eval.rubric), config.seed)
    rate = _win_rate(run, number, comparer, answers) if compare else None
    del engine, judge, comparer
    gc.collect()
    return frozen, rate


def _first_of_each(answers: list[Response]) -> list[Response]:
    """Return one answer to each prompt, because the frozen judge's figures do not need more."""
    # reversed twice: the first answer to each prompt stays, in the prompts' order
    return list({answer.prompt_id: answer for answer in reversed(answers)}.values())[::-1]


def _following(run: Run, number: int, output: _Output, seed: int) -> Following | None:
    scores = {row.response_id: row.score for row in output.judgments if row.score is not None}
    base = list(read_rows(checks_path(run, 0), CheckedAnswer)) if number else []
    return following_of(output.checked, scores, base, seed)


def _win_rate(run: Run, number: int, comparer: Judge, answers: list[Response]) -> WinRate:
    with Store(answers_path(run, 0), Response) as store:
        # by seed too, so that the first answer is compared with the first
        base = {(response.prompt_id, response.seed): response for response in store.latest()}
    pairs = [(base.get((other.prompt_id, other.seed)), other) for other in answers]
    contests = [_contest(before, other) for before, other in pairs if before is not None]
    with Store(eval_path(run, "comparisons"), Comparison, keep=both_orders_answered) as comparisons:
        return win_rate(compare_into(comparisons, comparer, contests, f"iter{number} held-out comparisons"))


def _contest(base: Response, other: Response) -> Contest:
    return Contest(other.prompt_id, other.prompt, base.response, other.response, base.model, other.model)


def _scores(run: Run, judge: Judge, answers: list[Response], title: str) -> list[Judgment]:
    with Store(eval_path(run, "judgments"), Judgment, keep=has_every_reply) as store:
        return judge_into(store, judge, answers, title)


def _likelihoods(run: Run, engine: TransformersEngine, answers: list[Response], title: str) -> list[AnswerLikelihood]:
    with Store(eval_path(run, "likelihoods"), AnswerLikelihood) as store:
        return likelihoods_into(store, engine, answers, f"{title} likelihoods")
