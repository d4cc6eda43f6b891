"""A model that vLLM has loaded: writes texts, reads log-probabilities, and takes other weights."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor
from transformers import AutoConfig, GenerationConfig
from vllm import LLM, SamplingParams
from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

from console.errors import InputError
from console.ranges import check_ranges
from engines.adapters import weights_folder
from engines.chat.taken import Taken
from engines.chat.template import load_tokenizer
from engines.chat.turn_end import end_tokens, turn_end
from engines.choice_tokens.paths import encode_choices
from engines.choice_tokens.tree import ChoiceTree
from engines.local.decoding import Sampled, cut
from engines.local.vllm.memory import Memory
from engines.local.vllm.running import Ask, Runner
from engines.local.vllm.starting import start, stop
from engines.local.vllm.weights import load_tensors
from engines.protocol import Choice, Completion, Request, Sampling

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

HIGHEST_TEMPERATURE = 2.0
"""vLLM's own limit."""
FINAL = RequestOutputKind.FINAL_ONLY


@dataclass
class VllmModel:
    """vLLM's engine with a model, and the tokenizer. Make it with `load`."""

    llm: LLM
    runner: Runner
    tokenizer: PreTrainedTokenizerBase
    ends: frozenset[int]
    """The tokens after which the model says no more, as `TransformersEngine` has them."""

    @classmethod
    def load(
        cls, name: str, folder: Path, chat_template_kwargs: Mapping[str, Any], memory: Memory, dtype: str = "auto"
    ) -> VllmModel:
        """Load the model in `folder`. Raises EngineError if it does not fit or vLLM cannot start with it."""
        tokenizer = load_tokenizer(folder, chat_template_kwargs)
        try:
            generation = GenerationConfig.from_pretrained(weights_folder(folder))
        except OSError:  # the model has no such file
            generation = GenerationConfig.from_model_config(AutoConfig.from_pretrained(weights_folder(folder)))
        llm = start(name, folder, memory, dtype=dtype)
        return cls(llm, Runner(llm), tokenizer, end_tokens(generation, tokenizer, turn_end(tokenizer)))

    def __del__(self) -> None:
        """Give the memory back as soon as nobody holds the model, because the next one needs it."""
        self.__dict__.pop("runner", None)
        if stop is not None:  # as it is when the interpreter ends
            stop([self.__dict__.pop("llm")])  # the list holds the last reference

    @property
    def context(self) -> int:
        """The most tokens of a prompt and what is written after it."""
        return int(self.llm.model_config.max_model_len)

    def generate(
        self, requests: Sequence[Request], sampling: Sampling, done: Collection[int] = ()
    ) -> Iterator[Completion]:
        """Yield completions as rows finish. See `VllmEngine`."""
        _check(sampling)
        todo = [index for index in range(len(requests)) if index not in done]
        taken = Taken.of(self.tokenizer, (requests[index] for index in todo))
        yield from (Completion(todo[place], "", None, error=e, n_calls=0) for place, e in taken.refused.items())
        rows = [todo[place] for place in taken.indexes]
        sequences = taken.encoded(self.tokenizer, taken.requests, "")
        too_long = self._too_long(sequences, sampling.max_new_tokens)
        for place, error in too_long.items():
            yield Completion(rows[place], "", None, len(sequences[place]), error=error, n_calls=0)
        asks = (
            Ask(place, 0, sequences[place], self._sampled(taken.requests[place], sampling))
            for place in _by_prefix(sequences)
            if place not in too_long
        )
        for finished in self.runner.run(asks):
            place, written = finished.ask.row, list(finished.output.token_ids)
            ended = bool(written) and written[-1] in self.ends
            tokens = written[:-1] if ended else written
            text = cut(self.tokenizer.decode(tokens, skip_special_tokens=True), sampling.stop)
            end = str(self.tokenizer.convert_ids_to_tokens(written[-1])) if ended else ""
            reason, n_prompt = finished.output.finish_reason, len(sequences[place])
            yield Completion(rows[place], text, reason, n_prompt, len(tokens), seconds=finished.seconds, end=end)

    def choose(
        self, requests: Sequence[Request], choices: Sequence[str], done: Collection[int] = ()
    ) -> Iterator[Choice]:
        """Yield log-probabilities of `choices`, over the whole vocabulary. See `VllmEngine`."""
        todo = [index for index in range(len(requests)) if index not in done]
        taken = Taken.of(self.tokenizer, (requests[index] for index in todo))
        yield from (Choice(todo[place], (), error=e, n_calls=0) for place, e in taken.refused.items())
        if not taken.requests:
            return
        rows = [todo[place] for place in taken.indexes]
        paths, sequences = encode_choices(partial(taken.encoded, self.tokenizer), taken.requests, choices)
        too_long = self._too_long(sequences, max(map(len, paths)))
        for place, error in too_long.items():
            yield Choice(rows[place], (), len(sequences[place]), error=error, n_calls=0)
        tree = ChoiceTree(paths)
        asks = (
            Ask(place, number, [*sequences[place], *question.node], _reading(question.ids))
            for place in _by_prefix(sequences)
            if place not in too_long
            for number, question in enumerate(tree.questions)
        )
        for finished in self.runner.run(asks):
            assert finished.output.logprobs is not None
            logprobs = {token: found.logprob for token, found in finished.output.logprobs[0].items()}
            place = finished.ask.row
            if complete := tree.add(place, finished.ask.number, logprobs, finished.seconds):
                numbers, seconds = complete
                yield Choice(rows[place], numbers, len(sequences[place]), seconds=seconds)

    def sample(
        self, sequences: list[list[int]], seeds: Sequence[int], sampling: Sampling, ends: Collection[int]
    ) -> list[Sampled]:
        """Return the tokens drawn after each token sequence, all of which fit the context, until one of `ends`.

        Stop strings are not looked for. Raises InputError for a bad setting.
        """
        _check(sampling)
        params = [_drawing(seed, sampling, ends) for seed in seeds]
        asks = (Ask(place, 0, sequences[place], params[place]) for place in _by_prefix(sequences))
        finished = [(one.ask.row, list(one.output.token_ids), one.seconds) for one in self.runner.run(asks)]
        return [
            Sampled(place, tokens, "stop" if tokens[-1] in ends else "length", seconds=seconds)
            for place, tokens, seconds in finished
        ]

    def read(self, tokens: list[int]) -> list[float]:
        """Return the log-probability of each token after those before it, but for the first."""
        # vLLM always writes a token, which nobody looks at.
        params = SamplingParams(temperature=0.0, max_tokens=1, prompt_logprobs=0, detokenize=False, output_kind=FINAL)
        [finished] = self.runner.run([Ask(0, 0, tokens, params)])
        after_first = zip(tokens[1:], finished.prompt_logprobs[1:], strict=True)
        return [float(logprobs[token].logprob) for token, logprobs in after_first]

    def replace_weights(self, tensors: Mapping[str, Tensor]) -> None:
        """Compute with other weights from now on. See `engines.local.vllm.weights.load_tensors`."""
        load_tensors(self.llm, tensors)

    def _sampled(self, request: Request, sampling: Sampling) -> SamplingParams:
        return SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            seed=request.seed if sampling.temperature > 0 else None,
            max_tokens=sampling.max_new_tokens,
            stop=list(sampling.stop),
            stop_token_ids=sorted(self.ends),
            detokenize=bool(sampling.stop),  # vLLM needs the text only to find a stop string in it
            structured_outputs=None if request.schema is None else StructuredOutputsParams(json=request.schema),
            output_kind=FINAL,
        )

    def _too_long(self, sequences: Sequence[list[int]], n_new: int) -> dict[int, str]:
        """Return why a sequence has no room for `n_new` tokens more, by its place."""
        return {
            place: f"too long: {len(sequence)} tokens and {n_new} to write, over the model's context of {self.context}"
            for place, sequence in enumerate(sequences)
            if len(sequence) + n_new > self.context
        }


def _by_prefix(sequences: Sequence[list[int]]) -> list[int]:
    """Return the places of the sequences, those with a beginning in common next to each other."""
    return sorted(range(len(sequences)), key=sequences.__getitem__)


def _check(sampling: Sampling) -> None:
    check_ranges(sampling)
    if sampling.temperature > HIGHEST_TEMPERATURE:
        raise InputError(f"--temperature {sampling.temperature}: vLLM takes at most {HIGHEST_TEMPERATURE}")


def _drawing(seed: int, sampling: Sampling, ends: Collection[int]) -> SamplingParams:
    return SamplingParams(
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        seed=seed if sampling.temperature > 0 else None,
        max_tokens=sampling.max_new_tokens,
        stop_token_ids=sorted(ends),
        detokenize=False,
        output_kind=FINAL,
    )


def _reading(ids: Sequence[int]) -> SamplingParams:
    # Greedy, because nobody looks at the token that is drawn. The log-probabilities are those before any setting.
    return SamplingParams(
        temperature=0.0,
        max_tokens=1,
        logprob_token_ids=list(ids),
        detokenize=False,
        output_kind=FINAL,
    )
