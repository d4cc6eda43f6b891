"""A model's distance from iter0: the Kullback-Leibler divergence per token, estimated on the model's own answers.

Each model reads the answers once, one model at a time, and stores a row for each. The estimate needs only the rows.
"""

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from console.errors import InputError
from engines.likelihood import answer_tokens, end_of, logprobs_by_id
from engines.local.transformers_engine import TransformersEngine
from records.keys import content_key
from records.rows import Response, Row
from records.stage import complete
from records.store import Store


class AnswerLikelihood(Row, frozen=True, kw_only=True):
    """An answer's likelihood under a model, or why it is not known."""

    id: str
    response_id: str
    logprobs: list[float]
    """Natural log-probability of each token. If the model ended the answer, the end token is included."""
    error: str | None = None


@dataclass(frozen=True)
class KL:
    """KL(model || iter0) in nats per token. Standard errors treat answers, not tokens, as independent."""

    per_token: float
    """k1, the mean of log p_t - log p_0: unbiased for answers drawn at temperature 1 and top-p 1."""
    standard_error: float | None
    """None for a single answer."""
    k3: float
    """The mean of r - 1 - log r with r = p_0 / p_t: also unbiased, never negative, and less noisy if the models are
    close (J. Schulman, Approximating KL Divergence, 2020)."""
    k3_standard_error: float | None
    n_answers: int
    n_tokens: int


def likelihoods_into(
    store: Store[AnswerLikelihood], engine: TransformersEngine, responses: Sequence[Response], title: str
) -> list[AnswerLikelihood]:
    """Return the likelihood of each response under the model, computing those that `store` does not hold."""
    wanted = [_row_id(engine, response) for response in responses]
    return complete(store, wanted, _likelihoods(engine, responses, store.ids), title)


def kl_of(model: Sequence[AnswerLikelihood], base: Sequence[AnswerLikelihood]) -> KL | None:
    """Return how far the model is from iter0 on the model's own answers, or None if no answer has both likelihoods.

    Raises InputError if the two models do not share a tokenizer, because KL per token is then undefined.
    """
    of_base = {likelihood.response_id: likelihood for likelihood in base if likelihood.error is None}
    ratios = []
    for likelihood in model:
        if likelihood.error is not None or (other := of_base.get(likelihood.response_id)) is None:
            continue
        if len(likelihood.logprobs) != len(other.logprobs):
            raise InputError(
                "the two models tokenise the same answer differently: KL per token requires a shared tokenizer"
            )
        ratios.append([p - q for p, q in zip(likelihood.logprobs, other.logprobs, strict=True)])
    if not ratios:
        return None
    n_tokens = [len(answer) for answer in ratios]
    k1, k1_error = _mean_per_token([math.fsum(answer) for answer in ratios], n_tokens)
    # r - 1 - log r with r = exp(-d). expm1 keeps its digits while d is near 0, as it is for a model barely moved.
    k3, k3_error = _mean_per_token([math.fsum(math.expm1(-d) + d for d in answer) for answer in ratios], n_tokens)
    return KL(k1, k1_error, k3, k3_error, len(ratios), sum(n_tokens))


def _mean_per_token(totals: Sequence[float], n_tokens: Sequence[int]) -> tuple[float, float | None]:
    """Return the ratio of the sums and its standard error (Cochran 1977, equation 6.12, without the finite factor)."""
    n, mean = len(totals), math.fsum(totals) / sum(n_tokens)
    if n < 2:
        return mean, None
    squares = math.fsum((total - mean * tokens) ** 2 for total, tokens in zip(totals, n_tokens, strict=True))
    return mean, math.sqrt(squares * n / (n - 1)) / sum(n_tokens)


def _likelihoods(
    engine: TransformersEngine, responses: Sequence[Response], done: Collection[str]
) -> Iterator[AnswerLikelihood]:
    by_id = {_row_id(engine, response): response for response in responses}
    tokens = {row_id: partial(_tokens_with_end, engine, response) for row_id, response in by_id.items()}
    for answer in logprobs_by_id(engine, tokens, done):
        yield AnswerLikelihood(
            id=answer.id, response_id=by_id[answer.id].id, logprobs=answer.logprobs, error=answer.error
        )


def _tokens_with_end(engine: TransformersEngine, response: Response) -> tuple[list[int], int]:
    tokens, n_answer = answer_tokens(engine, response.prompt, response.response)
    end = end_of(engine.tokenizer, response.finish_reason, response.end)
    # If the model chose to end, the end token is a token of its own like the others.
    return (tokens, n_answer) if end is None else ([*tokens, end], n_answer + 1)


def _row_id(engine: TransformersEngine, response: Response) -> str:
    content = (response.prompt, response.response, response.finish_reason, response.end)
    return content_key("answer likelihood with its own end", engine.digest, response.id, content)
