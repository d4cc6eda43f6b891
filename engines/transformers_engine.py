"""Runs a model in this process through transformers, with the prompt prefix that all rows share computed once.

A row's text depends on its own seed and not on its neighbours in the batch, up to the rounding of float arithmetic.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from console.errors import EngineError, InputError
from engines import shared_prefix
from engines.batches import CACHED_BATCH_TOKENS, MAX_BATCH_TOKENS, plan
from engines.models import model_digest
from engines.neutral import neutralised
from engines.protocol import Choice, Completion, Request, Sampling
from engines.sampling import draw, row_uniforms
from engines.shared_prefix import LayerKV, SharedPrefixCache
from engines.skinny import use_skinny_linears

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

COMPACT_BELOW = 0.75
"""Finished rows leave a batch once fewer than this share of its rows are still writing."""
STOP_WINDOW_TOKENS = 16
"""How many of the last tokens are looked at for a stop string, besides the string's own length."""


@dataclass(frozen=True)
class Batch:
    """Rows that are computed together."""

    rows: list[int]
    """Their positions in the list that was given."""
    suffixes: list[list[int]]
    """Their own tokens, after the shared ones."""
    prefix: list[LayerKV]
    n_prefix: int


@dataclass
class TransformersEngine:
    """A causal language model and its tokenizer; make it with `load`."""

    name: str
    digest: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    batch_size: int
    shares_prefix: bool

    @classmethod
    def load(cls, folder: Path, name: str, batch_size: int = 32) -> TransformersEngine:
        """Load the model in `folder`: float32 on a processor, the checkpoint's own type on an accelerator.

        Raises EngineError where transformers cannot load it, InputError where it has no chat template.
        """
        from transformers import AutoModelForCausalLM, AutoTokenizer

        device = "cuda" if torch.cuda.is_available() else "cpu"
        dtype = "auto" if device == "cuda" else torch.float32
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder)
            model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, use_safetensors=True)
        except (OSError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:300]
            raise EngineError(f"{folder}: the model cannot be loaded: {reason}") from None
        if tokenizer.chat_template is None:
            raise InputError(f"{name}: its tokenizer has no chat template; use an instruction-tuned model")
        shares = shared_prefix.supports(model.config)
        if shares:
            shared_prefix.register()
            model.set_attn_implementation(shared_prefix.NAME)
        if device == "cpu":
            use_skinny_linears(model)
        return cls(name, model_digest(folder), model.eval().to(device), tokenizer, batch_size, shares)

    def generate(
        self, requests: Sequence[Request], sampling: Sampling, done: Collection[int] = ()
    ) -> Iterator[Completion]:
        """Yield completions as rows finish; see `engines.protocol.Engine`."""
        _check(sampling)
        sequences = self._encode(requests, "")
        n_new = sampling.max_new_tokens
        for index, error in self._too_long(sequences, n_new, done):
            yield Completion(index, "", None, len(sequences[index]), error=error)
        for batch in self._batches(sequences, n_new, MAX_BATCH_TOKENS, done):
            seeds = [requests[row].seed for row in batch.rows]
            for position, tokens, finish in self._decode(batch, seeds, sampling):
                row = batch.rows[position]
                if row not in done:
                    text = self._cut(self.tokenizer.decode(tokens, skip_special_tokens=True), sampling.stop)
                    yield Completion(row, text, finish, len(sequences[row]), len(tokens))

    def choose(
        self, requests: Sequence[Request], choices: Sequence[str], done: Collection[int] = ()
    ) -> Iterator[Choice]:
        """Yield log-probabilities of `choices` from one prefill a row; see `engines.protocol.Engine`."""
        if not requests:
            return
        choice_ids = self._choice_ids(requests[0], choices)
        # Encoding the choice with its prompt and cutting it off keeps the tokens that the two would merge into.
        sequences = [sequence[:-1] for sequence in self._encode(requests, choices[0])]
        for index, error in self._too_long(sequences, 1, done):
            yield Choice(index, (), len(sequences[index]), error=error)
        max_tokens = CACHED_BATCH_TOKENS if self.model.device.type == "cpu" else MAX_BATCH_TOKENS
        for batch in self._batches(sequences, 0, max_tokens, done):
            logits_BV, _, _ = self._start(batch, 0)
            logprobs_BC = logits_BV.float().log_softmax(-1)[:, choice_ids].tolist()
            for row, logprobs in zip(batch.rows, logprobs_BC, strict=True):
                if row not in done:
                    yield Choice(row, tuple(logprobs), len(sequences[row]))

    def _batches(
        self, sequences: list[list[int]], n_new: int, max_tokens: int, done: Collection[int]
    ) -> Iterator[Batch]:
        """Yield the batches of all sequences that fit the context and that hold one which is not in `done`."""
        kept = [index for index, sequence in enumerate(sequences) if self._fits(sequence, max(n_new, 1))]
        fitting = [sequences[index] for index in kept]
        todo = plan(fitting, self.batch_size, n_new, share_prefix=self.shares_prefix, max_tokens=max_tokens)
        prefix: list[LayerKV] | None = None
        for positions in todo.batches:
            rows = [kept[position] for position in positions]
            if all(row in done for row in rows):
                continue
            if prefix is None:
                prefix = self._prefix(fitting[0][: todo.n_prefix])
            yield Batch(rows, [sequences[row][todo.n_prefix :] for row in rows], prefix, todo.n_prefix)

    def _too_long(self, sequences: list[list[int]], n_new: int, done: Collection[int]) -> Iterator[tuple[int, str]]:
        for index, sequence in enumerate(sequences):
            if index not in done and not self._fits(sequence, n_new):
                sizes = f"{len(sequence)} tokens and {n_new} to write"
                yield index, f"too long: {sizes}, over the model's context of {self._context()}"

    def _encode(self, requests: Sequence[Request], ending: str) -> list[list[int]]:
        special = self.tokenizer.all_special_tokens
        texts = [
            self.tokenizer.apply_chat_template(
                neutralised(request.messages, special), tokenize=False, add_generation_prompt=True
            )
            + request.prefill
            + ending
            for request in requests
        ]
        if not texts:
            return []
        # The template has written its own beginning-of-text token; a second one would shift every score.
        encoded: list[list[int]] = self.tokenizer(texts, add_special_tokens=False)["input_ids"]
        return encoded

    def _choice_ids(self, request: Request, choices: Sequence[str]) -> list[int]:
        """Return the token that each choice is, after the prompt; raises EngineError where one is several tokens."""
        encoded = [self._encode([request], choice)[0] for choice in choices]
        ids = [sequence[-1] for sequence in encoded]
        bases = {tuple(sequence[:-1]) for sequence in encoded}
        n_prompt = len(self._encode([request], "")[0])
        if len(bases) > 1 or len(bases.pop()) > n_prompt or len(set(ids)) < len(ids):
            raise EngineError(f"{self.name}: the choices {', '.join(choices)} are not one token each; use --read text")
        return ids

    def _context(self) -> int:
        return int(getattr(self.model.config, "max_position_embeddings", 1 << 30))

    def _fits(self, sequence: list[int], n_new: int) -> bool:
        return len(sequence) + n_new <= self._context()

    @torch.inference_mode()
    def _prefix(self, tokens: list[int]) -> list[LayerKV]:
        """Return the keys and values of the shared prefix, per layer, each (K, P, D)."""
        if not tokens:
            return []
        _, cache, _ = self._start(Batch([0], [tokens], [], 0), 0)
        assert isinstance(cache, SharedPrefixCache)
        return [(keys[0], values[0]) for keys, values in cache.layers]

    @torch.inference_mode()
    def _start(self, batch: Batch, n_new: int) -> tuple[Tensor, Any, Tensor]:
        """Compute the prompts of a batch; return the next-token logits (B, V), the cache, and the padding (B,)."""
        width = max(map(len, batch.suffixes))
        device = self.model.device
        n_padding_B = torch.tensor([width - len(suffix) for suffix in batch.suffixes], device=device)
        filler = self.tokenizer.pad_token_id or 0
        tokens_BQ = torch.tensor([[filler] * (width - len(s)) + s for s in batch.suffixes], device=device)
        cache = SharedPrefixCache(batch.prefix, n_padding_B, width + n_new) if self.shares_prefix else self._own_cache()
        positions_BQ = (torch.arange(width, device=device) - n_padding_B[:, None]).clamp(min=0) + batch.n_prefix
        return self._forward(tokens_BQ, positions_BQ, cache, n_padding_B), cache, n_padding_B

    def _own_cache(self) -> Any:
        from transformers import DynamicCache

        return DynamicCache(config=self.model.config)

    def _forward(self, tokens_BQ: Tensor, positions_BQ: Tensor, cache: Any, n_padding_B: Tensor) -> Tensor:
        """Return the logits after the last token, (B, V)."""
        n_new = tokens_BQ.shape[1]
        if self.shares_prefix:
            extra = {"attention_mask": cache.mask(n_new), "shared_prefix": cache}
        else:
            seen = torch.arange(cache.get_seq_length() + n_new, device=tokens_BQ.device)
            extra = {"attention_mask": (seen[None, :] >= n_padding_B[:, None]).long()}
        output = self.model(
            input_ids=tokens_BQ,
            position_ids=positions_BQ,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
            **extra,
        )
        logits: Tensor = output.logits[:, -1]
        return logits

    @torch.inference_mode()
    def _step(self, tokens_B: Tensor, positions_B: Tensor, cache: Any, n_padding_B: Tensor) -> Tensor:
        return self._forward(tokens_B[:, None], positions_B[:, None], cache, n_padding_B)

    def _decode(self, batch: Batch, seeds: list[int], sampling: Sampling) -> Iterator[tuple[int, list[int], str]]:
        """Yield `(position in the batch, tokens, finish reason)` for each row as it finishes."""
        logits_BV, cache, n_padding_B = self._start(batch, sampling.max_new_tokens)
        uniforms_BT = row_uniforms(seeds, sampling.max_new_tokens)
        starts = [batch.n_prefix + len(suffix) for suffix in batch.suffixes]
        positions_B = torch.tensor(starts, device=logits_BV.device)
        rows = list(range(len(starts)))  # the position in the batch of each row of the tensors
        written: list[list[int]] = [[] for _ in rows]
        unfinished = set(rows)
        for step in range(sampling.max_new_tokens):
            tokens_B = draw(logits_BV, uniforms_BT[rows, step], sampling.temperature, sampling.top_p)
            for row, token in zip(rows, tokens_B.tolist(), strict=True):
                if row not in unfinished:
                    continue
                finish = self._take(written[row], token, sampling)
                if finish:
                    unfinished.discard(row)
                    yield row, written[row], finish
            if not unfinished:
                return
            if len(unfinished) < COMPACT_BELOW * len(rows):
                keep = [index for index, row in enumerate(rows) if row in unfinished]
                rows = [rows[index] for index in keep]
                keep_B = torch.tensor(keep, device=logits_BV.device)
                cache.select(keep_B) if self.shares_prefix else cache.batch_select_indices(keep_B)
                tokens_B, positions_B, n_padding_B = tokens_B[keep_B], positions_B[keep_B], n_padding_B[keep_B]
            logits_BV = self._step(tokens_B, positions_B, cache, n_padding_B)
            positions_B = positions_B + 1

    def _take(self, written: list[int], token: int, sampling: Sampling) -> str | None:
        """Add `token` to a row and return why the row ends with it, or None."""
        if token in self._ends():
            return "stop"
        written.append(token)
        if sampling.stop:
            window = written[-(STOP_WINDOW_TOKENS + max(map(len, sampling.stop))) :]
            tail = self.tokenizer.decode(window)
            if any(stop in tail for stop in sampling.stop):
                return "stop"
        return "length" if len(written) == sampling.max_new_tokens else None

    def _ends(self) -> set[int]:
        config = self.model.generation_config
        ends = getattr(config, "eos_token_id", None)
        listed = ends if isinstance(ends, list) else [ends]
        return {token for token in [*listed, self.tokenizer.eos_token_id] if token is not None}

    @staticmethod
    def _cut(text: str, stops: Sequence[str]) -> str:
        ends = [text.find(stop) for stop in stops if stop in text]
        return text[: min(ends)] if ends else text


def _check(sampling: Sampling) -> None:
    if sampling.max_new_tokens < 1:
        raise InputError(f"--max-new-tokens must be at least 1, not {sampling.max_new_tokens}")
    if sampling.temperature < 0:
        raise InputError(f"--temperature must be 0 or more, not {sampling.temperature}")
    if not 0 < sampling.top_p <= 1:
        raise InputError(f"--top-p must be in (0, 1], not {sampling.top_p}")
