"""Runs a model in this process through transformers, with the prompt prefix that all rows share computed once.

A row's text depends on its own seed and not on its neighbours in the batch, up to the rounding of float arithmetic.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from console.errors import EngineError, InputError
from console.ranges import check_ranges
from engines.chat.taken import Taken
from engines.chat.template import encoded, load_tokenizer, rendered, with_kwargs
from engines.chat.turn_end import end_tokens, turn_end
from engines.choice_tokens.paths import encode_choices, exact_logprobs
from engines.local import shared_prefix
from engines.local.batches import (
    CACHED_BATCH_TOKENS,
    MAX_BATCH_TOKENS,
    WRITTEN_BATCH_TOKENS,
    Plan,
    plan,
    plan_trees,
)
from engines.local.decoding import Decoder, Sampled, cut, n_side_by_side, share
from engines.local.forked_cache import LayerKV
from engines.local.forward import Batch, Forward
from engines.local.memory import computed, is_out_of_memory, too_long
from engines.local.skinny import use_skinny_linears
from engines.merging import load_model
from engines.models import context_of, inference_dtype, model_digest, with_dtype
from engines.protocol import Choice, Completion, Request, Sampling

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass
class TransformersEngine:
    """A causal language model and its tokenizer. Make it with `load`, or around a model in training with `of_live`."""

    name: str
    digest: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    batch_size: int
    shares_prefix: bool

    @property
    def forward(self) -> Forward:
        """The forward passes of its model."""
        return Forward(self.model, self.tokenizer.pad_token_id or 0, self.shares_prefix)

    @classmethod
    def load(
        cls,
        folder: Path,
        name: str,
        batch_size: int = 96,
        chat_template_kwargs: Mapping[str, Any] | None = None,
        dtype: str = "auto",
    ) -> TransformersEngine:
        """Load the model in `folder` in its `engines.models.inference_dtype`, or in the `dtype` that is wanted.

        `chat_template_kwargs` are variables of its chat template and part of the digest. Raises EngineError if
        transformers cannot load it, InputError if it has no chat template.
        """
        device = "cuda" if torch.cuda.is_available() else "cpu"
        loaded_as = getattr(torch, inference_dtype(folder, dtype), "auto")
        try:
            tokenizer = load_tokenizer(folder, chat_template_kwargs)
            model = load_model(folder, loaded_as)
        except InputError:  # it names the model already
            raise
        except (OSError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:300]
            raise EngineError(f"{folder}: the model cannot be loaded: {reason}") from None
        digest = with_kwargs(with_dtype(model_digest(folder), folder, dtype), chat_template_kwargs)
        return cls._made(name, digest, model.to(device), tokenizer, batch_size)

    @classmethod
    def of_live(
        cls, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str, batch_size: int = 96
    ) -> TransformersEngine:
        """Return an engine that shares the parameters of `model`, on the device where they are.

        The engine's next call sees an optimiser's changes. `model` itself is not touched and keeps the attention that
        gradients need. The engine has no digest, because its weights change. Raises InputError if the
        tokenizer has no chat template.
        """
        # deepcopy takes whatever the memo has for an object: modules and config are copied, parameters are not.
        memo = {id(parameter): parameter for parameter in model.parameters()}
        return cls._made(name, "", copy.deepcopy(model, memo), tokenizer, batch_size)

    @classmethod
    def _made(
        cls, name: str, digest: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, batch_size: int
    ) -> TransformersEngine:
        if tokenizer.chat_template is None:
            raise InputError(f"{name}: its tokenizer has no chat template; use an instruction-tuned model")
        shares = shared_prefix.supports(model.config)
        if shares:
            shared_prefix.register()
            model.set_attn_implementation(shared_prefix.NAME)
        if model.device.type == "cpu":
            use_skinny_linears(model)
        return cls(name, digest, model.eval(), tokenizer, batch_size, shares)

    def generate(
        self, requests: Sequence[Request], sampling: Sampling, done: Collection[int] = ()
    ) -> Iterator[Completion]:
        """Yield completions as rows finish. See `engines.protocol.Engine`."""
        self._check_no_schema(requests)
        taken = Taken.of(self.tokenizer, requests)
        for index, error in taken.refused.items():
            if index not in done:
                yield Completion(index, "", None, error=error, n_calls=0)
        sequences = taken.encoded(self.tokenizer, taken.requests, "")
        skip = {place for place, index in enumerate(taken.indexes) if index in done}
        for sampled in self.sample(sequences, [request.seed for request in taken.requests], sampling, skip):
            n_prompt, index = len(sequences[sampled.index]), taken.indexes[sampled.index]
            if sampled.error:
                yield Completion(index, "", None, n_prompt, error=sampled.error, n_calls=0)
                continue
            tokens, end = self.without_end(sampled.tokens)
            text = cut(self.tokenizer.decode(tokens, skip_special_tokens=True), sampling.stop)
            end_text = "" if end is None else str(self.tokenizer.convert_ids_to_tokens(end))
            yield Completion(
                index, text, sampled.finish_reason, n_prompt, len(tokens), seconds=sampled.seconds, end=end_text
            )

    def without_end(self, tokens: list[int]) -> tuple[list[int], int | None]:
        """Return an answer's tokens without the one that ended it, and that one, if it is there."""
        return (tokens[:-1], tokens[-1]) if tokens and tokens[-1] in self.ends else (tokens, None)

    @property
    def ends(self) -> frozenset[int]:
        """The tokens after which the model says no more."""
        return end_tokens(self.model.generation_config, self.tokenizer, self._turn_end)

    @cached_property
    def _turn_end(self) -> int | None:
        return turn_end(self.tokenizer)

    def sample(
        self, sequences: list[list[int]], seeds: Sequence[int], sampling: Sampling, done: Collection[int] = ()
    ) -> Iterator[Sampled]:
        """Yield the tokens drawn after each token sequence that is not in `done`, as rows finish.

        A row's draws are fixed by its seed. A sequence that does not fit the context has an error. Raises InputError
        for a bad setting.
        """
        check_ranges(sampling)
        n_new = sampling.max_new_tokens
        for index, error in self._too_long(sequences, n_new, done):
            yield Sampled(index, [], None, error)
        n_side = n_side_by_side(len(sequences), self.model.device.type)
        batch_size = share(len(sequences), n_side, self.batch_size)
        fitting = self._fitting(sequences, n_new)
        most = WRITTEN_BATCH_TOKENS if self.shares_prefix else MAX_BATCH_TOKENS
        whole = [sequences[row] for row in fitting]
        todo = plan(whole, batch_size, n_new, share_prefix=self.shares_prefix, max_tokens=most)
        batches = self._batches(sequences, fitting, todo, done)
        decoder = Decoder(self.forward, self.tokenizer, self.ends, sampling, n_side)
        for sampled in decoder.decode(batches, seeds):
            if sampled.index not in done:
                yield sampled

    def choose(
        self, requests: Sequence[Request], choices: Sequence[str], done: Collection[int] = ()
    ) -> Iterator[Choice]:
        """Yield log-probabilities of `choices`. See `engines.protocol.Engine`.

        Choices of one token cost one prefill per row. Each further beginning of a choice (`1` of `10`) costs one token
        more, or another prefill if the model keeps its own cache.
        """
        self._check_no_schema(requests)
        taken = Taken.of(self.tokenizer, requests)
        for index, error in taken.refused.items():
            if index not in done:
                yield Choice(index, (), error=error, n_calls=0)
        if not taken.requests:
            return
        encode = partial(taken.encoded, self.tokenizer)
        paths, sequences = encode_choices(encode, taken.requests, choices)
        n_after = max(map(len, paths)) - 1
        done = {place for place, index in enumerate(taken.indexes) if index in done}
        for place, error in self._too_long(sequences, max(n_after, 1), done):
            yield Choice(taken.indexes[place], (), len(sequences[place]), error=error, n_calls=0)
        fitting = self._fitting(sequences, max(n_after, 1))
        started = time.monotonic()
        batches = self._batches(sequences, fitting, self._reading([sequences[row] for row in fitting]), done)
        for batch, joint_BC in computed(batches, partial(self.forward.path_logprobs, paths=paths)):
            # Without the caller's time: the clock starts anew after the yields.
            seconds = (time.monotonic() - started) / len(batch.rows)
            for row, joint in zip(batch.rows, joint_BC, strict=True):
                if row not in done:
                    logprobs = exact_logprobs(joint, paths)
                    yield Choice(taken.indexes[row], logprobs, len(sequences[row]), seconds=seconds)
            started = time.monotonic()

    def _reading(self, sequences: list[list[int]]) -> Plan:
        """Return a plan of batches of which only prompts are read."""
        max_tokens = CACHED_BATCH_TOKENS if self.model.device.type == "cpu" else MAX_BATCH_TOKENS
        if self.shares_prefix:
            return plan_trees(sequences, self.batch_size, max_tokens, share_prefix=True)
        return plan(sequences, self.batch_size, 1, share_prefix=False, max_tokens=max_tokens)

    def _batches(
        self, sequences: list[list[int]], fitting: list[int], todo: Plan, done: Collection[int]
    ) -> Iterator[Batch]:
        """Yield the planned batches that hold a row which is not in `done`. The plan is of the `fitting` rows."""
        prefix: list[LayerKV] | None = None
        for positions in todo.batches:
            rows = [fitting[position] for position in positions]
            if all(row in done for row in rows):
                continue
            if prefix is None:  # once, and not at all if every batch is done
                prefix = self._prefix(sequences[fitting[0]][: todo.n_prefix])  # any row has the same one
            yield Batch(rows, [sequences[row][todo.n_prefix :] for row in rows], prefix, todo.n_prefix)

    def _prefix(self, tokens: list[int]) -> list[LayerKV]:
        try:
            return self.forward.prefix(tokens)
        except (MemoryError, RuntimeError) as error:
            if is_out_of_memory(error):  # no row fits, because each begins with it
                raise too_long(len(tokens)) from None
            raise

    def _fitting(self, sequences: list[list[int]], n_new: int) -> list[int]:
        return [index for index, sequence in enumerate(sequences) if self._fits(sequence, n_new)]

    def _too_long(self, sequences: list[list[int]], n_new: int, done: Collection[int]) -> Iterator[tuple[int, str]]:
        for index, sequence in enumerate(sequences):
            if index not in done and not self._fits(sequence, n_new):
                sizes = f"{len(sequence)} tokens and {n_new} to write"
                yield index, f"too long: {sizes}, over the model's context of {self._context()}"

    def _encode(self, requests: Sequence[Request], ending: str) -> list[list[int]]:
        texts = [
            rendered(self.tokenizer, request.messages, opening=True) + request.prefill + ending for request in requests
        ]
        return encoded(self.tokenizer, texts)

    def _check_no_schema(self, requests: Sequence[Request]) -> None:
        if any(request.schema is not None for request in requests):
            remedy = "use --read text or --read logprobs, --engine vllm, or a server (--base-url)"
            raise EngineError(f"{self.name}: transformers cannot force a reply to follow a schema; {remedy}")

    def _context(self) -> int:
        return context_of(self.model.config)

    def _fits(self, sequence: list[int], n_new: int) -> bool:
        return len(sequence) + n_new <= self._context()
