"""Flags of the judge, the panel and the budget."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from console.ranges import Count, NotNegative, Positive, Share, ShareAbove0, Total

Reading = Literal["text", "logprobs", "structured"]
Aggregate = Literal["mean", "median", "majority", "max", "min"]


@dataclass(frozen=True)
class JudgeOptions:
    """Settings of a judge: its rubric, and how its replies are sampled and read."""

    rubric: str = "additive"
    """One of the project's rubrics (python -m judges.rubrics lists them), or the path of a .toml file."""
    read: Reading = "logprobs"
    """logprobs: the expected score over the choices, one prefill. text: sampled replies, parsed and aggregated.
    structured: the same, each reply forced to a JSON schema (vLLM's and OpenAI's servers)."""
    samples: Count = 3
    """Replies per answer (text, structured)."""
    min_samples: Count | None = None
    """Give no verdict if fewer samples than this are answered. The default is all. A later run asks only for those
    that are missing (text, structured)."""
    aggregate: Aggregate | None = None
    """How the samples become one score. The default is the rubric's own."""
    max_new_tokens: Count = 256
    """The longest reply (text, structured)."""
    temperature: NotNegative = 0.7
    """Of the replies (text, structured)."""
    top_p: ShareAbove0 = 0.9
    """Of the replies (text, structured)."""
    min_mass: Share = 0.0
    """Give no verdict if the choices have less probability than this together (logprobs). It is always reported."""
    min_coverage: Share = 0.9
    """Fail if a smaller share of the answers gets a verdict."""


@dataclass(frozen=True)
class PanelOptions:
    """The judges of a panel, and how their verdicts become one."""

    judge: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """One judge of a panel. Repeat the flag for each. A name as for --model, NAME@http://host/v1, or a TOML file of the
    settings that differ from this command's flags: model, base_url, rubric, read, temperature and so on."""
    quorum: Count | None = None
    """The number of judges that must have a verdict for the panel to have one. The default is more than half."""
    panel_rule: Aggregate | None = None
    """How the judges' scores become one. The default is the rubric's aggregate. For comparisons it is the majority,
    or a tie without one."""


@dataclass(frozen=True)
class CostOptions:
    """The budget of a command."""

    max_cost: Positive | None = None
    """Stop before the output costs more US dollars than this, including earlier runs. It can resume later."""
    max_tokens_total: Total | None = None
    """Stop before more tokens than this are read and written for the output."""
    prices: Path | None = None
    """A TOML table: "model" = [read, written] in US dollars per million tokens. The default is the packaged one."""


PAIRWISE = JudgeOptions(rubric="pairwise", samples=1)
