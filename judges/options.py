"""The flags that say how a judge is asked and its reply is read."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from console.ranges import Count, NotNegative, Positive, Share, ShareAbove0, Total

Reading = Literal["text", "logprobs", "structured"]
Aggregate = Literal["mean", "median", "majority", "max", "min"]


@dataclass(frozen=True)
class JudgeOptions:
    """How a judge is asked and its reply is read."""

    rubric: str = "additive"
    """One of the project's rubrics (python -m judges.rubrics lists them), or the path of a .toml file."""
    read: Reading = "logprobs"
    """logprobs: the expected score over the choices, one prefill. text: sampled replies, parsed and aggregated.
    structured: the same, each reply forced to a JSON schema (vLLM's and OpenAI's servers)."""
    samples: Count = 3
    """Replies for each answer (text, structured)."""
    min_samples: Count | None = None
    """No verdict where fewer samples than this are answered; the default is all. A later run asks for those that are
    missing, and for no other (text, structured)."""
    aggregate: Aggregate | None = None
    """How the samples become one score; the default is the rubric's own."""
    max_new_tokens: Count = 256
    """The longest reply (text, structured)."""
    temperature: NotNegative = 0.7
    """Of the replies (text, structured)."""
    top_p: ShareAbove0 = 0.9
    """Of the replies (text, structured)."""
    min_mass: Share = 0.0
    """No verdict where the choices have less probability than this together (logprobs); it is always reported."""
    min_coverage: Share = 0.9
    """Stop where a smaller share of the answers gets a verdict."""


@dataclass(frozen=True)
class PanelOptions:
    """Which judges there are, and how their verdicts become one."""

    judge: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """One judge of a panel; give it once for each. A name as for --model, NAME@http://host/v1, or a TOML file of what
    is not as in this command's own flags: model, base_url, rubric, read, temperature and so on."""
    quorum: Count | None = None
    """How many judges must have a verdict for there to be one; the default is more than half."""
    panel_rule: Aggregate | None = None
    """How the judges' scores become one; the default is the rubric's aggregate, and for comparisons the majority, with
    a tie where there is none."""


@dataclass(frozen=True)
class CostOptions:
    """How much a command may spend."""

    max_cost: Positive | None = None
    """Stop before more US dollars than this are spent on the output, earlier runs of it counted; it can go on later."""
    max_tokens_total: Total | None = None
    """Stop before more tokens than this are read and written for the output."""
    prices: Path | None = None
    """A TOML table: "model" = [read, written] in US dollars for a million tokens; the default is the packaged one."""


PAIRWISE = JudgeOptions(rubric="pairwise", samples=1)
