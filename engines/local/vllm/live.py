"""A model in training whose texts vLLM draws: its weights are loaded into a running vLLM before each call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import torch
from vllm import SamplingParams
from vllm.sampling_params import RequestOutputKind

from console.errors import EngineError
from console.ranges import check_ranges
from engines.chat.template import encoded, rendered
from engines.local.decoding import Sampled
from engines.local.transformers_engine import TransformersEngine
from engines.local.vllm.memory import Memory
from engines.local.vllm.model import VllmModel, by_prefix
from engines.local.vllm.running import Ask
from engines.local.vllm.weights import checkpoint_tensors, load_tensors, stored_names
from engines.protocol import Sampling

PROBE = (
    "Which rivers of Europe flow into the Black Sea, and how long are they? The Danube is 2,850 km long, the Dnieper "
    "2,201 km and the Dniester 1,362 km. Sort them by their length, and say where each of them begins."
)
"""The fixed prompt that the live model and vLLM both read."""
TOLERANCE = {"float32": 1e-4}
"""The most that the log-probabilities of its tokens may differ, in nats, the mean over the tokens. In float32 it was at
most 1e-5 with SmolLM2-135M; one step of Adam at a rate of 1e-5 moved the mean by 4e-3."""
COARSE_TOLERANCE = 0.25
"""The same in a half precision. In bfloat16 it was at most 0.065."""


@dataclass
class LiveVllm:
    """A model in training and a vLLM that draws with its weights. Make it with `load`."""

    live: TransformersEngine
    vllm: VllmModel
    stored: frozenset[str]
    """The names of the tensors in the model's checkpoint."""
    probe: list[int]
    """Tokens."""
    tolerance: float

    @classmethod
    def load(cls, live: TransformersEngine, folder: Path, memory: Memory, dtype: str) -> LiveVllm:
        """Start vLLM beside a live model, which was loaded from `folder` or trained from it, to compute in `dtype`.

        Raises EngineError if it does not fit, cannot start, or computes something else than the live model.
        """
        vllm = VllmModel.load(live.name, folder, {}, memory, dtype)
        prompt = rendered(live.tokenizer, [{"role": "user", "content": PROBE}], opening=True)
        probe = encoded(live.tokenizer, [prompt])[0][: vllm.context - 1]
        tolerance = TOLERANCE.get(dtype, COARSE_TOLERANCE)
        found = cls(live, vllm, stored_names(folder), probe, tolerance)
        found.follow()  # now, because the caller may have much other work before its first text
        return found

    def follow(self) -> None:
        """Load the live model's weights into vLLM, and compare what both compute. Raises EngineError."""
        try:
            load_tensors(self.vllm.llm, checkpoint_tensors(self.live.model, self.stored))
            self._compare()
        except EngineError as error:
            raise EngineError(f"{self.live.name}: {error}") from None

    def sample(self, sequences: list[list[int]], seeds: Sequence[int], sampling: Sampling) -> list[Sampled]:
        """Return the tokens drawn after each token sequence, all of which fit the context, with the weights of now.

        A row's draws are fixed by its seed, up to the rounding that its neighbours change. Stop strings are not looked
        for.
        """
        check_ranges(sampling)
        self.follow()
        ends = sorted(self.live.ends)
        asks = (
            Ask(place, 0, sequences[place], _drawing(seeds[place], sampling, ends)) for place in by_prefix(sequences)
        )
        with self._plainly():
            finished = list(self.vllm.runner.run(asks))
        return [_sampled(one.ask.row, list(one.output.token_ids), ends, one.seconds) for one in finished]

    def _compare(self) -> None:
        after_first = self.probe[1:]
        logprobs_TV = self.live.forward.before_ends([self.probe], [len(after_first)]).float().log_softmax(-1)
        in_live = logprobs_TV[range(len(after_first)), after_first].tolist()
        with self._plainly():
            [read] = self.vllm.runner.run([Ask(0, 0, self.probe, _reading())])
        in_vllm = [of[token].logprob for token, of in zip(after_first, read.prompt_logprobs[1:], strict=True)]
        apart = fmean(abs(one - other) for one, other in zip(in_live, in_vllm, strict=True))
        if not apart <= self.tolerance:  # also true if it is not a number
            raise EngineError(
                f"vLLM reads a fixed prompt with log-probabilities that differ by {apart:.2g} nats a token from the "
                f"live model's, over {self.tolerance:g}: it computes something else; draw with transformers"
            )

    def _plainly(self) -> torch.autocast:
        """Return the context that vLLM computes in: its precision is its own, whatever the caller trains in."""
        return torch.autocast(self.live.model.device.type, enabled=False)


def _drawing(seed: int, sampling: Sampling, ends: list[int]) -> SamplingParams:
    return SamplingParams(
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        seed=seed if sampling.temperature > 0 else None,
        max_tokens=sampling.max_new_tokens,
        stop_token_ids=ends,
        detokenize=False,
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


def _reading() -> SamplingParams:
    # vLLM always writes a token, which nobody looks at.
    return SamplingParams(
        temperature=0.0, max_tokens=1, prompt_logprobs=0, detokenize=False, output_kind=RequestOutputKind.FINAL_ONLY
    )


def _sampled(row: int, tokens: list[int], ends: list[int], seconds: float) -> Sampled:
    return Sampled(row, tokens, "stop" if tokens and tokens[-1] in ends else "length", seconds=seconds)
