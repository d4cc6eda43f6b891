"""The flags that say how a judge is asked and its reply is read."""

from dataclasses import dataclass
from typing import Literal

Reading = Literal["text", "logprobs"]


@dataclass(frozen=True)
class JudgeOptions:
    """How a judge is asked and its reply is read."""

    rubric: str = "additive"
    """One of the project's rubrics, or the path of a .toml file."""
    read: Reading = "logprobs"
    """logprobs: the expected score over the choices, one prefill. text: sampled replies, parsed and averaged."""
    samples: int = 3
    """Replies for each answer (text)."""
    max_new_tokens: int = 256
    """The longest reply (text)."""
    temperature: float = 0.7
    """Of the replies (text)."""
    top_p: float = 0.9
    """Of the replies (text)."""
    min_coverage: float = 0.9
    """Stop where a smaller share of the answers gets a verdict."""
