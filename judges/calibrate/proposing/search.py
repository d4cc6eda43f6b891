"""Rounds of proposals: each is judged on the development part, and the best one goes on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from console.errors import InputError
from console.progress import say
from engines.answers import answer_into
from engines.protocol import Engine, Sampling
from judges.calibrate.proposing.proposals import Case, question, rubric_in
from judges.labelled.labels import LabelledPair, Verdict
from judges.rubrics.rubric import Rubric
from records import Prompt, Response, Store
from records.keys import content_key, derived_seed

PATIENCE = 2
"""Rounds without a better rubric after which the search ends."""

Ask = Callable[[Rubric, Sequence[LabelledPair]], list[Verdict]]
"""Asks the judge about pairs by a rubric."""


@dataclass(frozen=True)
class Candidate:
    """A rubric, and how it agrees with the labels of the development part."""

    rubric: Rubric
    verdicts: Sequence[Verdict]
    agreement: float
    """The share of labels that its verdicts equal. A tie counts half, a missing verdict nothing."""


@dataclass(frozen=True)
class Budget:
    """How long to search."""

    rounds: int
    candidates: int
    """Proposals in a round."""
    cases: int
    """Disagreements that the model is shown."""


@dataclass
class Search:
    """The state of a search."""

    ask: Ask
    pairs: Sequence[LabelledPair]
    """The development part."""
    best: Candidate
    agreements: list[float] = field(default_factory=list)
    """Of every proposal that could be read, in order."""
    unread: list[str] = field(default_factory=list)
    """Why the others could not be read."""
    n_unanswered: int = 0
    """Proposals that were asked for and not given."""


def agreement(pairs: Sequence[LabelledPair], verdicts: Sequence[Verdict]) -> float:
    """Return the share of labels that the verdicts equal. A tie of the judge counts half, one of the labels not."""
    values = [
        0.0 if verdict.winner is None else 0.5 if verdict.winner == "tie" else float(verdict.winner == pair.label)
        for pair, verdict in zip(pairs, verdicts, strict=True)
        if pair.label != "tie"
    ]
    return sum(values) / len(values)


def candidate(ask: Ask, pairs: Sequence[LabelledPair], rubric: Rubric) -> Candidate:
    """Return a rubric with the verdicts of a judge that judges by it."""
    verdicts = ask(rubric, pairs)
    return Candidate(rubric, verdicts, agreement(pairs, verdicts))


def search(
    search_state: Search, proposer: Engine, store: Store[Response], sampling: Sampling, budget: Budget, seed: int
) -> None:
    """Ask for proposals round by round, and keep the best. Replies are stored, so that none is paid for twice."""
    n_since = 0
    for number in range(budget.rounds):
        cases = _cases(search_state, budget.cases, derived_seed(seed, "cases", number))
        if not cases:
            say("the judge agrees with every label of the development part: nothing is left to learn")
            return
        better = _round(search_state, proposer, store, sampling, budget, cases, derived_seed(seed, "round", number))
        n_since = 0 if better else n_since + 1
        done = f"round {number + 1} of {budget.rounds}"
        say(f"{done}: the best rubric agrees with {100 * search_state.best.agreement:.1f}% of the development part")
        if n_since >= PATIENCE:
            say(f"no better rubric in {PATIENCE} rounds: the search ends")
            return


def _round(
    state: Search, proposer: Engine, store: Store[Response], sampling: Sampling, budget: Budget,
    cases: Sequence[Case], seed: int,
) -> bool:  # fmt: skip
    """Judge the proposals of one round. Return whether one is better than the best before."""
    text = question(state.best.rubric, cases)
    prompt = Prompt(id=content_key("proposal", text, seed), prompt=text)
    replies = answer_into(
        store, proposer, [prompt], sampling, n=budget.candidates, seed=seed, title=f"{proposer.name} proposing"
    )
    state.n_unanswered += budget.candidates - len(replies)
    before = state.best.agreement
    for reply in replies:
        try:
            rubric = rubric_in(reply.response)
        except InputError as error:
            state.unread.append(str(error))
            continue
        proposed = candidate(state.ask, state.pairs, rubric)
        state.agreements.append(proposed.agreement)
        if proposed.agreement > state.best.agreement:
            state.best = proposed
    return state.best.agreement > before


def _cases(state: Search, n: int, seed: int) -> list[Case]:
    """Return some pairs on which the best rubric's verdict is not the label."""
    wrong = [
        Case(pair, verdict)
        for pair, verdict in zip(state.pairs, state.best.verdicts, strict=True)
        if pair.label != "tie" and verdict.winner not in (None, pair.label)
    ]
    return Random(seed).sample(wrong, min(n, len(wrong)))
