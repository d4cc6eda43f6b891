"""Log-probabilities of given answers under a model in this process, token by token."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean
from typing import TYPE_CHECKING

from console.errors import InputError
from engines.chat.template import encoded, rendered, safe_messages
from engines.chat.turn_end import turn_end
from engines.local.batches import CACHED_BATCH_TOKENS, plan, plan_trees
from engines.models import context_of
from records.keys import content_key
from records.rows import Message, Row, messages_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from engines.local.forward import Batch
    from engines.local.transformers_engine import TransformersEngine

ENDED_BY_THE_MODEL = frozenset({"stop", "eos_token", "end_turn"})
"""The finish reasons, in lower case, of an answer that ends with the model's own last token."""

PART_TOKENS = 64


@dataclass(frozen=True)
class TokenLogprobs:
    """The log-probabilities of the tokens of one answer, or the reason for none."""

    index: int
    logprobs: list[float]
    """Natural logarithms, one for each token of the answer."""
    error: str | None = None


@dataclass(frozen=True)
class AnswerLogprobs:
    """The log-probabilities of the tokens of an answer with an id, or the reason for none."""

    id: str
    logprobs: list[float]
    """Natural logarithms, one for each token of the answer."""
    n_tokens: int
    error: str | None


def answer_tokens(engine: TransformersEngine, prompt: str | list[Message], response: str) -> tuple[list[int], int]:
    """Return the tokens of prompt and answer, and the number of the answer's.

    The prompt stands in the model's chat template. Special tokens in either text are taken apart.
    """
    opening = rendered(engine.tokenizer, messages_of(prompt), opening=True)
    answer = safe_messages(engine.tokenizer, [{"role": "assistant", "content": response}])[0]["content"]
    before, after = encoded(engine.tokenizer, [opening, answer])
    return [*before, *after], len(after)


def end_of(tokenizer: PreTrainedTokenizerBase, finish_reason: str | None, end: str | None) -> int | None:
    """Return the token with which a model ended an answer itself, or None if it was cut off or its end is unknown.

    It is `end` if that was recorded ("" for none), or else the token that ends a turn of the chat template.
    """
    if (finish_reason or "").strip().lower() not in ENDED_BY_THE_MODEL or end == "":
        return None
    known = None if end is None else tokenizer.get_vocab().get(end)
    return turn_end(tokenizer) if known is None else int(known)


def token_logprobs(
    engine: TransformersEngine, answers: Sequence[tuple[list[int], int]], done: Collection[int] = ()
) -> Iterator[TokenLogprobs]:
    """Yield the log-probabilities of each answer that is not in `done`, as its batch is computed.

    `answers` are tokens and how many of them, at the end, are the answer's. The batches are planned from all of them,
    so that a call that goes on computes the same ones. An answer that is empty or does not fit the context has none.
    """
    context = context_of(engine.model.config)
    usable = [index for index, (tokens, n) in enumerate(answers) if n > 0 and len(tokens) <= context]
    for index in sorted(set(range(len(answers))) - set(usable) - set(done)):
        tokens, n_answer = answers[index]
        error = "the response is empty" if n_answer < 1 else f"too long: {len(tokens)} tokens"
        yield TokenLogprobs(index, [], error)
    # Here, because a plan needs only the ids of likelihoods, and neither torch nor a model.
    from engines.local.memory import computed, unshared

    sequences = [answers[index][0] for index in usable]
    if engine.shares_prefix:
        # Without a prefix for all batches, because the last token of a prompt may be in it, and its logits are needed.
        todo = plan_trees(sequences, engine.batch_size, CACHED_BATCH_TOKENS, share_prefix=False)
    else:
        todo = plan(sequences, engine.batch_size, 0, share_prefix=False, max_tokens=CACHED_BATCH_TOKENS)
    planned = ([usable[position] for position in positions] for positions in todo.batches)
    missing = (rows for rows in planned if not all(row in done for row in rows))
    batches = unshared(missing, [tokens for tokens, _ in answers])
    for batch, found in computed(batches, partial(_batch, engine, answers)):
        for row, logprobs in zip(batch.rows, found, strict=True):
            if row not in done:
                yield TokenLogprobs(row, logprobs)


def logprobs_by_id(
    engine: TransformersEngine, tokens_by_id: Mapping[str, Callable[[], tuple[list[int], int]]], done: Collection[str]
) -> Iterator[AnswerLogprobs]:
    """Yield the log-probabilities of each answer whose id is not in `done`, as its batch is computed.

    `tokens_by_id` returns the tokens as `token_logprobs` takes them. An answer for which it raises InputError, because
    the template refuses its prompt, has none.
    """
    tokens: dict[str, tuple[list[int], int]] = {}
    for answer_id, tokens_of in tokens_by_id.items():
        try:
            tokens[answer_id] = tokens_of()
        except InputError as error:
            if answer_id not in done:
                yield AnswerLogprobs(answer_id, [], 0, str(error))
    ids = list(tokens)
    # Those that are done stay in the plan: a resumed call must compute the same batches.
    places = {place for place, answer_id in enumerate(ids) if answer_id in done}
    for answer in token_logprobs(engine, list(tokens.values()), places):
        answer_id = ids[answer.index]
        yield AnswerLogprobs(answer_id, answer.logprobs, tokens[answer_id][1], answer.error)


def _batch(engine: TransformersEngine, answers: Sequence[tuple[list[int], int]], batch: Batch) -> list[list[float]]:
    import torch  # here, because a plan needs only the ids of likelihoods

    n_answers = [answers[row][1] for row in batch.rows]
    with torch.inference_mode():
        logits_TV = engine.forward.before_ends(batch.suffixes, n_answers)
        tokens_T = torch.tensor(
            [token for tokens, n in zip(batch.suffixes, n_answers, strict=True) for token in tokens[-n:]],
            device=logits_TV.device,
        )
        chosen_T = logits_TV.gather(1, tokens_T[:, None])[:, 0].float()
        # some tokens at a time: the whole batch in float32 would be as large again
        sums_T = torch.cat([part.float().logsumexp(-1) for part in torch.split(logits_TV, PART_TOKENS)])
    return [row.tolist() for row in torch.split(chosen_T - sums_T, n_answers)]


class Likelihood(Row, frozen=True, kw_only=True):
    """The likelihood of an answer under the judge's own model."""

    id: str
    logprob: float | None
    """Natural log-probability a token, the mean over the answer."""
    n_tokens: int
    error: str | None = None


def likelihood_id(prompt: str | list[Message], response: str) -> str:
    """Return the key of an answer's log-likelihood."""
    return content_key("likelihood", prompt, response)


def likelihoods_of(
    engine: TransformersEngine, answers: Sequence[tuple[str | list[Message], str]], done: Collection[str] = ()
) -> Iterator[Likelihood]:
    """Yield the mean log-probability of each answer's tokens after its prompt, for those that are not in `done`.

    An answer that does not fit the context has none, and neither has one whose prompt the template refuses.
    """
    wanted = {likelihood_id(*answer): partial(answer_tokens, engine, *answer) for answer in answers}
    for answer in logprobs_by_id(engine, wanted, done):
        logprob = fmean(answer.logprobs) if answer.logprobs else None
        yield Likelihood(id=answer.id, logprob=logprob, n_tokens=answer.n_tokens, error=answer.error)
