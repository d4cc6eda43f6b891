"""How likely a given answer is to a model in this process, token by token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engines.neutral import neutralise, neutralised
from records.rows import Message, messages_of

if TYPE_CHECKING:
    from engines.transformers_engine import TransformersEngine


def answer_tokens(engine: TransformersEngine, prompt: str | list[Message], response: str) -> tuple[list[int], int]:
    """Return the tokens of prompt and answer, and how many are the prompt's.

    The prompt stands in the model's chat template; special tokens in either text are taken apart.
    """
    special = engine.tokenizer.all_special_tokens
    chat = neutralised(messages_of(prompt), special)
    opening = str(engine.tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True))
    before = engine.tokenizer(opening, add_special_tokens=False)["input_ids"]
    after = engine.tokenizer(neutralise(response, special), add_special_tokens=False)["input_ids"]
    return [*before, *after], len(before)


def token_logprobs(engine: TransformersEngine, tokens: list[int], n_last: int) -> list[float]:
    """Return the natural log-probability of each of the last `n_last` tokens after those before it."""
    import torch

    from engines.shared_prefix import SharedPrefixCache

    device = engine.model.device
    ids_1L = torch.tensor([tokens], device=device)
    extra = {}
    if engine.shares_prefix:  # the engine's own attention is told where the tokens are through its cache
        cache = SharedPrefixCache([], torch.zeros(1, dtype=torch.long, device=device), len(tokens))
        extra = {"past_key_values": cache, "attention_mask": cache.mask(len(tokens)), "shared_prefix": cache}
    positions_1L = torch.arange(len(tokens), device=device)[None]
    with torch.inference_mode():
        logits_1LV = engine.model(
            input_ids=ids_1L, position_ids=positions_1L, logits_to_keep=n_last + 1, **extra
        ).logits  # of the token before the last ones, and of these
    logprobs_AV = logits_1LV[0, :-1].float().log_softmax(-1)
    found: list[float] = logprobs_AV.gather(1, ids_1L[0, -n_last:, None])[:, 0].tolist()
    return found
