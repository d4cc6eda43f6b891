"""How far a model has moved from iter0: the Kullback-Leibler divergence a token, estimated on the model's own answers.

Each model reads the answers once, one model at a time, and leaves a row for each; the estimate needs the rows only.
"""

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from console.errors import InputError
from records.keys import content_key
from records.rows import Response, Row
from records.stage import complete
from records.store import Store

if TYPE_CHECKING:
    from engines.local.transformers_engine import TransformersEngine


class AnswerLikelihood(Row, frozen=True, kw_only=True):
    """How likely an answer is to a model, or why that is not known."""

    id: str
    response_id: str
    logprobs: list[float]
    """Natural log-probability of each token; where the model ended the answer, of the token that did so too."""
    error: str | None = None


@dataclass(frozen=True)
class KL:
    """KL(model || iter0) in nats a token; standard errors are over answers, whose tokens are not independent."""

    per_token: float
    """k1, the mean of log p_t - log p_0: unbiased for answers drawn at temperature 1 and top-p 1."""
    standard_error: float | None
    """None for a single answer."""
    k3: float
    """The mean of r - 1 - log r with r = p_0 / p_t: as unbiased, never negative and, for near models, less noisy
    (J. Schulman, Approximating KL Divergence, 2020)."""
    k3_standard_error: float | None
    n_answers: int
    n_tokens: int


def likelihoods_into(
    store: Store[AnswerLikelihood], engine: "TransformersEngine", responses: Sequence[Response], title: str
) -> list[AnswerLikelihood]:
    """Return the likelihood of each response to the model, computing what `store` does not hold yet."""
    wanted = [_row_id(engine, response) for response in responses]
    return complete(store, wanted, _likelihoods(engine, responses, store.ids), title)


def kl_of(model: Sequence[AnswerLikelihood], base: Sequence[AnswerLikelihood]) -> KL | None:
    """Return how far the model is from iter0 on answers that the model wrote; None where no answer has both.

    Raises InputError where the two do not share their tokenizer: then there is no divergence a token.
    """
    of_base = {row.response_id: row for row in base if row.error is None}
    ratios = []
    for row in model:
        if row.error is not None or (other := of_base.get(row.response_id)) is None:
            continue
        if len(row.logprobs) != len(other.logprobs):
            raise InputError("the two models cut the same answer into other tokens: a KL a token needs one tokenizer")
        ratios.append([p - q for p, q in zip(row.logprobs, other.logprobs, strict=True)])
    if not ratios:
        return None
    n_tokens = [len(answer) for answer in ratios]
    k1, k1_error = _mean_per_token([math.fsum(answer) for answer in ratios], n_tokens)
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
    engine: "TransformersEngine", responses: Sequence[Response], done: Collection[str]
) -> Iterator[AnswerLikelihood]:
    from engines.likelihood import answer_tokens, end_of, token_logprobs

    wanted = {_row_id(engine, response): response for response in responses}
    ids, tokenised = [], []
    for row_id, response in wanted.items():
        try:
            tokens, n_answer = answer_tokens(engine, response.prompt, response.response)
        except InputError as error:  # of one conversation, which the template refuses
            if row_id not in done:
                yield AnswerLikelihood(id=row_id, response_id=response.id, logprobs=[], error=str(error))
            continue
        ids.append(row_id)
        if (end := end_of(engine.tokenizer, response.finish_reason, response.end)) is not None:
            tokens, n_answer = [*tokens, end], n_answer + 1  # to end was its choice too
        tokenised.append((tokens, n_answer))
    for found in token_logprobs(engine, tokenised, {index for index, row_id in enumerate(ids) if row_id in done}):
        row_id = ids[found.index]
        yield AnswerLikelihood(id=row_id, response_id=wanted[row_id].id, logprobs=found.logprobs, error=found.error)


def _row_id(engine: "TransformersEngine", response: Response) -> str:
    said = (response.prompt, response.response, response.finish_reason, response.end)
    return content_key("answer likelihood with its own end", engine.digest, response.id, said)
