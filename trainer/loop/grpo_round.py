"""A round that learns by GRPO or RLOO: the parent answers the round's prompts while it learns from the judge's scores.

The judge stays the same during the round, also if it is the parent. Its judgments are kept as those of other rounds, so
that a resumed training asks for none again.
"""

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from statistics import fmean

from console.flags import in_section
from engines.models import inference_dtype
from engines.protocol import Engine
from judges.tools.evidence import was_checked, with_tools
from records import Judgment, Prompt, Store, read_rows
from records.runs import Run
from records.store import latest, write_rows
from trainer.grpo.options import GRPOOptions
from trainer.grpo.rewards import Weighted
from trainer.loop.gather import evidence_work
from trainer.loop.judging.answers import keep_to, open_rewarding_judge, round_judging_work
from trainer.loop.judging.judges import is_of_run, round_judges
from trainer.loop.plan.work import Lengths, Work, answering_work
from trainer.loop.recipe import IN_CANDIDATES, Config, as_grpo
from trainer.ppo.rewards import check_constraints, judge_reward
from trainer.runs.ledger import LedgerLine, adapter_of, split_hash
from trainer.training.outcome import figures_of, report_of

JUDGMENTS = "judgments.jsonl"


def train_by_reward(run: Run, number: int, prompts: list[Prompt], config: Config, judge: Engine | None = None) -> None:
    """Make the model of iteration `number`, with its prompts and judgments in its folder.

    `judge` is the judge's engine, if it is given, whichever judge the recipe names. Raises TrainingError or JudgeError
    if there is nothing to learn from.
    """
    write_rows(run.iteration(number) / "prompts.jsonl", prompts)
    check_constraints(config.evidence, prompts)
    opened = partial(_opened, run, number, prompts, config, judge)
    # TRL's trainers of GRPO take seconds to load, which other rounds do without
    train_rewarded = importlib.import_module("trainer.grpo.train").train_rewarded
    with in_section("grpo.", config.grpo, **IN_CANDIDATES):
        train_rewarded(
            run.model(number - 1),
            run.model(number),
            prompts,
            opened,
            config.judge.min_coverage,
            as_grpo(config),
            config.seed,
            _title(number, config),
        )


@contextmanager
def _opened(
    run: Run, number: int, prompts: list[Prompt], config: Config, engine: Engine | None, _: int
) -> Iterator[list[Weighted]]:
    judge, agent = with_tools(open_rewarding_judge(run, number - 1, config, engine), config.evidence)
    with Store(run.iteration(number) / JUDGMENTS, Judgment, keep=was_checked) as store:
        keep_to(store, judge.fingerprint)
        yield [Weighted("judge", 1.0, judge_reward(judge, store, agent, prompts))]


def rewarded_line(run: Run, number: int, prompts: Sequence[Prompt], config: Config, seconds: float) -> LedgerLine:
    """Return the line of a round in the ledger. Equal answers to a prompt are one judgment."""
    judgments = latest(read_rows(run.iteration(number) / JUDGMENTS, Judgment))
    scores = [judgment.score for judgment in judgments if judgment.score is not None]
    trained, parent, options = report_of(run.model(number)), f"iter{number - 1}", as_grpo(config)
    n_answers = trained.n_steps * options.batch_size
    return LedgerLine(
        id=f"iter{number}",
        parent=parent,
        reference_model=parent if options.beta else None,
        dtype=inference_dtype(run.model(0), config.engine.dtype),
        prompt_split=split_hash(prompts),
        judge=judgments[0].judge,
        counts={
            "prompts": len(prompts),
            "responses": n_answers,
            "cut_off": round(trained.metrics["cut_off_share"] * n_answers),
            "judged": len(scores),
            "unparsed": len(judgments) - len(scores),
        },
        mean_score=fmean(scores),
        mean_chars=fmean(len(judgment.response) for judgment in judgments),
        n_tokens=round(trained.metrics["mean_tokens"] * n_answers),
        training=figures_of(trained),
        adapter=adapter_of(run.model(number)),
        seconds=seconds,
    )


def rewarded_work(number: int, lengths: Lengths, config: Config) -> Iterator[Work]:
    """Yield the work of a round: its answers and their judgments, which the progress of the training covers."""
    options, title = as_grpo(config), _title(number, config)
    n_steps = options.epochs * (config.candidates.prompts // options.prompts_per_step)
    n_answers, name = n_steps * options.batch_size, f"iter{number}"
    is_own = all(is_of_run(engine) for engine, _ in round_judges(config.judge, config.panel))
    yield replace(answering_work(f"{name} answers", n_answers, lengths), within=title)
    if config.evidence.enabled:
        evidence = evidence_work(f"{name} evidence, at most", n_answers, lengths, config.evidence)
        yield replace(evidence, is_own=is_own, within=title)
    if config.evidence.asks_rubric:
        for work in round_judging_work(f"{name} judging", number - 1, n_answers, lengths, config):
            yield replace(work, within=title)
    yield _training_work(title, n_answers, n_steps, lengths, options, judged=is_own and config.evidence.needs_model)


def _training_work(
    title: str, n_answers: int, n_steps: int, lengths: Lengths, options: GRPOOptions, *, judged: bool
) -> Work:
    n_answer = min(lengths.prompt + lengths.answer, options.max_length)
    return Work(
        title,
        "train",
        n_trained=n_answers * n_answer,
        n_reference=n_answers * n_answer if options.beta else 0,
        n_steps=n_steps,
        n_widest=options.micro_batch_size * n_answer,
        training=options,
        n_beside=judged + options.n_frozen,
    )


def _title(number: int, config: Config) -> str:
    return f"iter{number} {config.grpo.method.upper()}"
