"""Learns a calibration of a judge from labels, and measures it out of fold beside the judge as it is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from console.errors import InputError
from console.progress import say
from engines.options import open_engine
from judges.audit.asking import Answers, answer_id, ask_about, check_texts
from judges.calibrate.fit_report import report_of, write_report
from judges.calibrate.judge import print_plan
from judges.calibrate.learning import Learned, Pairs, learn, out_of_fold
from judges.calibrate.options import OUT, Config
from judges.calibrate.settings import set_name
from judges.judging.coverage import require_coverage
from judges.judging.judge import Judge, open_judge
from judges.labelled.labels import CODE, Grade, LabelledPair, LabelledSet, Verdict, pairs_within, verdict_by_scores
from judges.rubrics.calibration import Calibration, log_odds, rubric_digest, write_calibration
from judges.rubrics.checked import checked_rubric
from judges.rubrics.rubric import Rubric

LEAST_PAIRS = 20
"""Fewer labelled pairs than this teach nothing that can be trusted."""
FILE = "calibration.toml"


@dataclass(frozen=True)
class Example:
    """A labelled pair with the judge's verdict and the evidence that it gives for b."""

    pair: LabelledPair
    verdict: Verdict
    features: tuple[float, ...]


def fit_judge(config: Config, labelled: LabelledSet) -> None:
    """Ask the judge about the labelled pairs, learn from them, and write the calibration and its report."""
    _check_flags(config)
    check_texts(labelled)
    rubric = checked_rubric(config.judge)
    _check_labels(labelled, config.folds)
    judge = open_judge(open_engine(config.engine), config.judge, config.seed)
    out = config.out or OUT / f"{set_name(config, labelled)}-{judge.fingerprint}"
    if config.dry_run:
        print_plan(config, labelled, judge, out)
        return
    if not rubric.criteria:
        say(f"the rubric '{rubric.name}' has no criteria to weigh: only the temperature and the ties are learned")
    answers = ask_about(labelled, judge, out, fresh=config.fresh)
    pairs = _pairs(labelled)
    examples = _examples(pairs, answers, judge)
    _check_examples(examples, len(pairs), config)
    numbers = _numbers(examples)
    folds = min(config.folds, len(set(numbers.groups)))
    preferences_N, verdicts_N = out_of_fold(numbers, folds, config.seed)
    learned = learn(numbers)
    calibration = _calibration(judge, labelled, learned, examples)
    write_calibration(out / FILE, calibration)
    after = [_verdict(p, v) for p, v in zip(preferences_N.tolist(), verdicts_N.tolist(), strict=True)]
    report = report_of(
        [example.pair for example in examples],
        [example.verdict for example in examples],
        after,
        (config.resamples, config.seed),
    )
    write_report(report, calibration, judge.rubric, out / FILE, as_json=config.json)


def _check_flags(config: Config) -> None:
    if config.verdicts or config.test or config.retest or config.likelihood or config.attacks:
        raise InputError(
            "--fit asks a judge and learns from its scores: leave out --verdicts, --test, --retest, --likelihood and "
            "--attacks"
        )
    if config.judge.calibration is not None:
        raise InputError("--fit learns a calibration of the judge as it is: leave out --calibration")
    if config.folds < 2:
        raise InputError(f"--folds must be at least 2, not {config.folds}")


def _pairs(labelled: LabelledSet) -> Sequence[LabelledPair]:
    """Return the labelled pairs, of scored answers every two to one prompt."""
    return labelled.pairs or tuple(within.pair for within in pairs_within(labelled.scores))


def _check_labels(labelled: LabelledSet, n_folds: int) -> None:
    """Raise InputError, before anything is asked, if the labels cannot teach anything."""
    pairs = _pairs(labelled)
    if not pairs:
        raise InputError(f"{labelled.name}: each prompt has one answer, and --fit compares answers to one prompt")
    sides = [pair.label for pair in pairs if pair.label != "tie"]
    if len(sides) < LEAST_PAIRS:
        raise InputError(
            f"{labelled.name}: {len(sides)} pairs with a better answer are too few to learn from; --fit needs at least "
            f"{LEAST_PAIRS}"
        )
    if len(set(sides)) == 1:
        raise InputError(
            f"{labelled.name}: all {len(sides)} labels are '{sides[0]}', one class only, from which nothing can be "
            "learned: exchange the answers of half of the pairs"
        )
    if (n_groups := len({pair.group for pair in pairs})) < 2:
        raise InputError(f"{labelled.name}: all pairs are of {n_groups} prompt, and --folds {n_folds} needs at least 2")


def _examples(pairs: Sequence[LabelledPair], answers: Answers, judge: Judge) -> list[Example]:
    """Return the pairs with a verdict and with evidence on every criterion."""
    verdicts = answers.verdicts
    examples = []
    for place, pair in enumerate(pairs):
        if judge.rubric.kind == "pair":
            verdict = verdicts[place]
            preference = verdict.preference_b
            odds: tuple[float, ...] | None = None if preference is None else (log_odds(preference),)
        else:
            first, second = (answers.by_answer[answer_id(pair.prompt, t)] for t in (pair.response_a, pair.response_b))
            verdict = verdict_by_scores(first, second)
            odds = _differences(first, second, judge.rubric)
        if verdict.winner is not None and odds is not None:
            examples.append(Example(pair, verdict, odds))
    return examples


def _differences(first: Grade, second: Grade, rubric: Rubric) -> tuple[float, ...] | None:
    """Return the scores of b less those of a, one for each criterion, or None if one is missing."""
    if not rubric.criteria:
        return None if first.score is None or second.score is None else (second.score - first.score,)
    both = [((second.criteria or {}).get(name), (first.criteria or {}).get(name)) for name in rubric.labels]
    known = [(b, a) for b, a in both if b is not None and a is not None]
    return tuple(b - a for b, a in known) if len(known) == len(both) else None


def _check_examples(examples: Sequence[Example], n_pairs: int, config: Config) -> None:
    require_coverage(
        len(examples), n_pairs, config.judge.min_coverage, what="labelled pairs have a verdict on every criterion"
    )
    n = sum(example.pair.label != "tie" for example in examples)
    if n < LEAST_PAIRS or len({example.pair.label for example in examples} - {"tie"}) < 2:
        raise InputError(
            f"only {n} pairs with a better answer got a verdict; --fit needs at least {LEAST_PAIRS} of both sides"
        )


def _numbers(examples: Sequence[Example]) -> Pairs:
    return Pairs(
        np.array([example.features for example in examples], dtype=float),
        np.array([CODE[example.pair.label] for example in examples], dtype=float),
        [example.pair.group for example in examples],
    )


def _verdict(preference: float, verdict: float) -> Verdict:
    winner = next(name for name, code in CODE.items() if code == verdict)
    return Verdict(winner, preference)


def _calibration(judge: Judge, labelled: LabelledSet, learned: Learned, examples: Sequence[Example]) -> Calibration:
    weights = {name: float(weight) for name, weight in zip(judge.rubric.labels, learned.weights, strict=True)}
    return Calibration(
        judge=judge.fingerprint,
        rubric=judge.rubric.name,
        rubric_digest=rubric_digest(judge.rubric),
        kind=judge.rubric.kind,
        labels=f"{len(examples)} pairs of {labelled.name}, labels by {labelled.labeller}",
        temperature=learned.temperature,
        tie=learned.tie,
        weights=weights if judge.rubric.criteria else {},
    )
