"""What a judge must beat: chance, the commonest label, the longer answer, the likelier answer."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from console.errors import InputError
from judges.audit import agreement, statistics
from judges.audit.arrays import PairArrays, ScoreArrays
from judges.audit.bootstrap import Estimate, Floats, difference, estimate, proportion_of
from records.keys import content_key
from records.rows import Message, Row

if TYPE_CHECKING:
    from engines.transformers_engine import TransformersEngine

CHANCE, COMMONEST, LONGER, LIKELIER = "chance", "the commonest label", "the longer is better", "the likelier is better"


@dataclass(frozen=True)
class Baseline:
    """A rule that looks at no content, on the rows that the judge scored."""

    name: str
    measure: Estimate
    """Its accuracy where a tie counts half, on pairs with a preference; for scores, Spearman's correlation."""
    exact: Estimate | None
    """Its accuracy over all classes of the labels."""
    lead: Estimate
    """The judge's measure less the rule's."""


class Likelihood(Row, frozen=True, kw_only=True):
    """How likely an answer is to the judge's own model."""

    id: str
    logprob: float | None
    """Natural log-probability a token, the mean over the answer."""
    n_tokens: int
    error: str | None = None


def pair_baselines(rows: PairArrays, likelihoods: Mapping[str, float | None] | None) -> list[Baseline]:
    """Return the baselines on the pairs that the judge scored; `likelihoods` is by `likelihood_id`."""
    rows = rows.only(rows.scored)
    if not rows.pairs:
        return []
    decided_N = rows.human != 0
    n_classes = 3 if rows.has_ties else 2
    said_N = _half_right(rows.judge, rows.human, decided_N)
    labels, counts = np.unique(rows.human, return_counts=True)
    n = int(decided_N.sum())
    found = []
    for name, guess_N in _guesses(rows, labels[counts.argmax()], likelihoods):
        half_N = _half_right(guess_N, rows.human, decided_N)
        exact_N = np.where(np.isfinite(guess_N), (guess_N == rows.human).astype(float), np.nan)
        both_N = np.where(np.isfinite(half_N), said_N, np.nan)
        found.append(
            Baseline(
                name,
                proportion_of(name, half_N, rows.weights),
                proportion_of(name, exact_N, rows.weights),
                difference(name, both_N, half_N, rows.weights)
                if np.isfinite(half_N).any()
                else Estimate(name, None, None, None, 0),
            )
        )
    lead = proportion_of(CHANCE, said_N, rows.weights, less=0.5)
    exact = Estimate(CHANCE, 1 / n_classes, None, None, len(rows.pairs))
    return [Baseline(CHANCE, Estimate(CHANCE, 0.5, None, None, n), exact, lead), *found]


def score_baselines(rows: ScoreArrays, likelihoods: Mapping[str, float | None] | None) -> list[Baseline]:
    """Return the baselines of Spearman's correlation with the label."""
    rules: dict[str, Floats] = {LONGER: rows.length}
    if likelihoods is not None:
        rules[LIKELIER] = _looked_up(likelihoods, [likelihood_id(item.prompt, item.response) for item in rows.items])
    found = []
    for name, rule_N in rules.items():
        keep_N = rows.scored & np.isfinite(rule_N)
        human_N, judge_N, rule_N = rows.human[keep_N], rows.judge[keep_N], rule_N[keep_N]
        weights_BN = rows.weights[:, keep_N]
        own = agreement.correlations(human_N, judge_N, weights_BN)[0]
        rule = agreement.correlations(human_N, rule_N, weights_BN)[0]
        lead = Estimate(name, None, None, None, rule.n)
        if own.value is not None and rule.value is not None:
            ahead_B = statistics.spearmans(human_N, judge_N, weights_BN) - statistics.spearmans(
                human_N, rule_N, weights_BN
            )
            lead = estimate(name, own.value - rule.value, ahead_B, rule.n)
        found.append(Baseline(name, rule, None, lead))
    return found


def likelihood_id(prompt: str | list[Message], response: str) -> str:
    """Return the key of an answer's log-likelihood."""
    return content_key("likelihood", prompt, response)


def likelihoods_of(
    engine: "TransformersEngine", answers: Sequence[tuple[str | list[Message], str]], done: Collection[str] = ()
) -> Iterator[Likelihood]:
    """Yield the mean log-probability of each answer's tokens after its prompt, for those that are not in `done`.

    The prompt stands in the model's chat template; special tokens in either text are taken apart. An answer that does
    not fit the context has none, and neither has one whose prompt the template refuses.
    """
    from engines.likelihood import answer_tokens, token_logprobs

    wanted: dict[str, tuple[list[int], int]] = {}
    for answer in answers:
        row_id = likelihood_id(*answer)
        try:
            wanted[row_id] = answer_tokens(engine, *answer)
        except InputError as error:
            if row_id not in done:
                yield Likelihood(id=row_id, logprob=None, n_tokens=0, error=str(error))
    ids, tokens = list(wanted), list(wanted.values())
    for found in token_logprobs(engine, tokens, {index for index, row_id in enumerate(ids) if row_id in done}):
        logprob = fmean(found.logprobs) if found.logprobs else None
        yield Likelihood(id=ids[found.index], logprob=logprob, n_tokens=tokens[found.index][1], error=found.error)


def _guesses(
    rows: PairArrays, commonest: float, likelihoods: Mapping[str, float | None] | None
) -> Iterator[tuple[str, Floats]]:
    yield COMMONEST, np.full(len(rows.pairs), float(commonest))
    yield LONGER, np.sign(rows.longer)
    if likelihoods is not None:
        a_N, b_N = (
            _looked_up(likelihoods, [likelihood_id(pair.prompt, getattr(pair, name)) for pair in rows.pairs])
            for name in ("response_a", "response_b")
        )
        yield LIKELIER, np.sign(b_N - a_N)


def _half_right(guess_N: Floats, human_N: Floats, decided_N: Floats) -> Floats:
    right_N = np.where(guess_N == 0, 0.5, (guess_N == human_N).astype(float))
    found: Floats = np.where(decided_N & np.isfinite(guess_N), right_N, np.nan)
    return found


def _looked_up(likelihoods: Mapping[str, float | None], ids: Sequence[str]) -> Floats:
    values = [likelihoods.get(row_id) for row_id in ids]
    return np.array([np.nan if value is None else value for value in values], dtype=float)
