"""Verdicts of judges on a benchmark: scores of each answer, or games between two answers."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from console.errors import InputError
from engines.options import open_engine
from evals.reward_model.benches.items import Bench, Item, Outcome
from evals.reward_model.implicit import gives_rewards
from evals.reward_model.judging import ask_judge, read_judgments, together
from evals.reward_model.options import Config, name_of, results_of
from evals.reward_model.report import Judged
from judges.judging.coverage import say_little_mass
from judges.judging.judge import open_judge
from judges.judging.pairwise import Contest, both_orders_answered, compare_into, comparison_id, first_request
from judges.judging.settle import settle
from judges.labelled.ranked import RankedAnswers
from judges.options import Aggregate
from judges.panels.panel import Member, panel_fingerprint, winner_of
from judges.rubrics.rubric import load_rubric
from records import Comparison, Store
from records.inputs import stem_of
from records.rows import Winner

RIGHT: dict[Winner, float] = {"a": 1.0, "tie": 0.5, "b": 0.0}
"""The value of a game in which the right answer is a."""
NO_VERDICT = "the judge named no winner"


@dataclass(frozen=True)
class Verdicts:
    """What one judge, or a panel, said about each item."""

    name: str
    fingerprint: str
    how: str
    """The rubric and the reading, in words."""
    outcomes: Sequence[Outcome]
    reasons: Counter[str]
    """The number of answers or games without a verdict, by reason."""
    path: str = ""
    preferences: Sequence[float | None] = ()
    """How far a judge that compares prefers the right answer to the wrong one, from 0 to 1."""


def ask_about_bench(config: Config, bench: Bench, member: Member) -> Verdicts:
    """Return one judge's verdicts, asking only for those that are not stored yet.

    Raises InputError if its rubric compares two answers and the items have more.
    """
    if gives_rewards(member[0]) or load_rubric(member[1].rubric).kind == "score":
        return _by_scores(ask_judge(config, ranked_items(bench), member))
    return _games(config, bench, member)


def stored_verdicts(config: Config, bench: Bench) -> list[Verdicts]:
    """Return the verdicts in the files of --judgments, which hold scores."""
    ranked = ranked_items(bench)
    return [_by_scores(read_judgments(config, ranked, path)) for path in config.judgments]


def ranked_items(bench: Bench) -> list[RankedAnswers]:
    """Return the items as ranked answers: the right ones before the wrong ones."""
    return [
        RankedAnswers(
            id=item.id,
            prompt=item.prompt,
            responses=list(item.answers),
            ranks=[int(place >= item.n_right) for place in range(len(item.answers))],
        )
        for item in bench.items
    ]


def longer(bench: Bench) -> Verdicts:
    """Return the verdicts of the rule that the longer answer is better."""
    outcomes = [Outcome(tuple(float(len(answer)) for answer in item.answers)) for item in bench.items]
    return Verdicts("the longer is better", "", "a rule", outcomes, Counter())


def panel_of(verdicts: Sequence[Verdicts], rule: Aggregate | None, quorum: int | None) -> Verdicts:
    """Return the verdicts of all judges as one panel. A judge without a verdict has no vote.

    Scores are combined by `rule`, by default their mean. Judges that compare vote on the winner, by default the
    majority's or else a tie.
    """
    fingerprint = panel_fingerprint([judge.fingerprint for judge in verdicts], rule, quorum)
    needed = quorum or len(verdicts) // 2 + 1
    outcomes = [
        _combined([judge.outcomes[place] for judge in verdicts], rule, needed)
        if verdicts[0].outcomes[place].scores
        else _voted([judge.preferences[place] for judge in verdicts], rule, needed)
        for place in range(len(verdicts[0].outcomes))
    ]
    n_failed = sum(outcome.failed for outcome in outcomes)
    reasons = Counter({f"fewer than {needed} judges have a verdict": n_failed} if n_failed else {})
    how = f"of {len(verdicts)} judges, {rule or 'the usual rule'}"
    return Verdicts(f"a panel of {len(verdicts)}", fingerprint, how, outcomes, reasons)


def _by_scores(judged: Judged) -> Verdicts:
    outcomes = [Outcome(tuple(scores)) for scores in judged.scores]
    how = f"rubric {judged.rubric}, reading: {judged.read}"
    return Verdicts(judged.name, judged.fingerprint, how, outcomes, judged.reasons, judged.path)


def _games(config: Config, bench: Bench, member: Member) -> Verdicts:
    """Return the verdicts of a judge that compares the right answer with the wrong one, in both orders."""
    engine_options, judge_options = member
    contests = contests_of(bench, judge_options.rubric)
    judge = open_judge(open_engine(engine_options), judge_options, config.seed)
    path = results_of(config, engine_options) / f"{name_of(config)}-{judge.fingerprint}.jsonl"
    title = f"{judge.engine.name} comparing {stem_of(config.file) if config.file else ''}"
    with Store(path, Comparison, keep=both_orders_answered, fresh=config.fresh) as store:
        if not config.fresh:
            settle(judge, store, lambda: first_request(judge, contests[0]))
        rows = {row.id: row for row in compare_into(store, judge, contests, title)}
    say_little_mass(list(rows.values()), judge.engine.name)
    answered = [rows[comparison_id(judge, contest)] for contest in contests]
    orders = [(row.first_order, row.second_order) for row in answered]
    outcomes = [Outcome(games=tuple(RIGHT[winner] if winner else None for winner in both)) for both in orders]
    reasons = Counter(row.error or NO_VERDICT for row in answered if row.winner is None)
    preferences = [None if row.winner is None or row.preference_b is None else 1 - row.preference_b for row in answered]
    how = f"rubric {judge.rubric.name}, reading: {judge.reading}"
    return Verdicts(judge.engine.name, judge.fingerprint, how, outcomes, reasons, str(path), preferences)


def contests_of(bench: Bench, rubric: str) -> list[Contest]:
    """Return the right answer of each item against the wrong one, for a rubric that compares.

    Raises InputError if the items have more answers.
    """
    if not bench.has_pairs:
        raise InputError(
            f"--rubric {rubric} compares two answers, and {bench.name} has four or more to a prompt; give one that "
            "scores one answer: additive"
        )
    return [_contest(item) for item in bench.items]


def _contest(item: Item) -> Contest:
    right, wrong = item.answers
    return Contest(item.group, item.prompt, right, wrong, model_a="right", model_b="wrong")


def _combined(outcomes: Sequence[Outcome], rule: Aggregate | None, needed: int) -> Outcome:
    by_answer = zip(*(outcome.scores for outcome in outcomes), strict=True)
    return Outcome(tuple(together(scores, rule, needed) for scores in by_answer))


def _voted(preferences: Sequence[float | None], rule: Aggregate | None, needed: int) -> Outcome:
    """Return the winner by the judges' preferences for the right answer."""
    known = [1 - preference for preference in preferences if preference is not None]  # for b, which is the wrong one
    return Outcome(games=(RIGHT[winner_of(known, rule)] if len(known) >= needed else None,))
