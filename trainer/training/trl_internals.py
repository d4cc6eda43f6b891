"""The two places that reach into TRL: the outputs inside its loss code, and how it computes logits.

Both were written against TRL 1.16.0. tests/trainer/training/test_trl_internals.py fails if TRL changes what they rely
on.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from trl.kernels import chunked_logprob
from trl.trainer import utils

TRL_VERSION = "1.16.0"
"""The version whose loss code was read."""
TOKENS, WORDS = 1024, 2048
"""The size of a tile of logits on a CPU, in tokens and in words of the vocabulary."""

OutputsT = TypeVar("OutputsT")


class ForwardSpy(Generic[OutputsT]):
    """Takes the model's place in TRL's loss code and keeps the outputs of its forward pass.

    TRL's loss methods call the model and return the loss, not the log-probabilities behind it. With a spy a trainer
    computes another loss from the same forward pass and still gets all of TRL's metrics. A prediction step calls the
    model once more, for its logits. The spy leaves that second call to the model.
    """

    def __init__(
        self,
        model: Callable[..., Any],
        forward: Callable[..., OutputsT] | None = None,
        show: Callable[[OutputsT], Any] | None = None,
    ) -> None:
        self._model, self._forward, self._show = model, forward or model, show
        self._kept: list[OutputsT] = []

    def __call__(self, **inputs: Any) -> Any:
        """Run `forward`, by default the model. TRL gets its outputs, or what `show` makes of them."""
        if self._kept:
            return self._model(**inputs)
        outputs = self._forward(**inputs)
        self._kept.append(outputs)
        return outputs if self._show is None else self._show(outputs)

    @property
    def outputs(self) -> OutputsT:
        """The outputs of the forward pass behind the loss."""
        if not self._kept:
            raise RuntimeError(f"TRL's loss did not call the model, as that of TRL {TRL_VERSION} does")
        return self._kept[0]


@contextmanager
def lean_head(device_type: str) -> Iterator[None]:
    """Make TRL's trainers compute the logits of few tokens at a time, and only of those with a loss, on a `cpu`.

    TRL's tile of 4096 tokens by 32,768 words suits a GPU, whose kernel works on it in place. Its torch code for other
    devices copies each tile several times, and copies of gigabytes fit no cache. That code also computes the tokens of
    the prompts, so that all steps have the same shape, which only compilers of other devices need.
    """
    if device_type != "cpu":
        yield
        return
    before = chunked_logprob.TOKEN_CHUNK_SIZE, utils._CHUNKED_LOGPROB_CHUNK_SIZE, utils._use_triton
    chunked_logprob.TOKEN_CHUNK_SIZE, utils._CHUNKED_LOGPROB_CHUNK_SIZE = TOKENS, WORDS
    # this name of it decides only which tokens are computed; the kernels are chosen by chunked_logprob's own
    utils._use_triton = lambda _device: True
    try:
        yield
    finally:
        chunked_logprob.TOKEN_CHUNK_SIZE, utils._CHUNKED_LOGPROB_CHUNK_SIZE, utils._use_triton = before
