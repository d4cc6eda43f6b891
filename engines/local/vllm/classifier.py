"""A reward model that vLLM has loaded: one number for a token sequence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vllm import LLM, PoolingParams

from console.errors import EngineError
from engines.local.vllm.memory import Memory
from engines.local.vllm.running import Ask, Runner
from engines.local.vllm.starting import start, stop


@dataclass
class VllmClassifier:
    """vLLM's engine with a sequence classifier of one label. Make it with `load`."""

    llm: LLM
    runner: Runner

    @classmethod
    def load(cls, name: str, folder: Path, memory: Memory) -> VllmClassifier:
        """Load the model in `folder`. Raises EngineError if it does not fit or vLLM cannot compute it."""
        llm = start(name, folder, memory, classifies=True)
        classifier = cls(llm, Runner(llm))
        try:
            classifier.values([[0]])  # now, because the caller may have hours of other work before its first answer
        except EngineError as error:
            raise EngineError(f"{name}: {error}") from None
        return classifier

    def __del__(self) -> None:
        """Give the memory back as soon as nobody holds the model, because the next one needs it."""
        self.__dict__.pop("runner", None)
        if stop is not None:  # as it is when the interpreter ends
            stop([self.__dict__.pop("llm")])

    @property
    def context(self) -> int:
        """The most tokens of a sequence."""
        return int(self.llm.model_config.max_model_len)

    def values(self, sequences: Sequence[list[int]]) -> list[float]:
        """Return the score after the last token of each sequence, as the model gives it, without an activation.

        The same sequences have the same scores whatever was asked before, so that a resumed training is the same.
        """
        self.llm.reset_prefix_cache()
        params = PoolingParams(task="classify", use_activation=False)
        places = sorted(range(len(sequences)), key=sequences.__getitem__)  # so that answers to one prompt meet
        asks = (Ask(place, 0, sequences[place], params) for place in places)
        values = {finished.ask.row: float(finished.output.data.float().item()) for finished in self.runner.run(asks)}
        return [values[place] for place in range(len(sequences))]
