"""Flags of the judge, the panel and the budget."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from console.errors import InputError
from console.flags import spelled
from console.ranges import Count, NotNegative, Positive, Share, ShareAbove0, Total
from engines.options import EngineOptions, is_served

Reading = Literal["text", "logprobs", "structured", "decisions"]
OF_CHOICES = ("logprobs", "decisions")
"""The readings that give the probabilities of a rubric's choices, one reply for each criterion."""
NO_ENDPOINT = "--read decisions asks a server's decision endpoint: give --base-url, or --engine openai"
Aggregate = Literal["mean", "median", "majority", "max", "min"]


@dataclass(frozen=True)
class JudgeOptions:
    """Settings of a judge: its rubric, and how its replies are sampled and read."""

    rubric: str = "additive"
    """One of the project's rubrics (python -m judges.rubrics lists them), or the path of a .toml file."""
    read: Reading = "logprobs"
    """logprobs: the expected score under the probabilities of the choices. text: sampled replies, parsed.
    structured: sampled replies that match a JSON schema (vLLM or OpenAI servers).
    decisions: the probabilities of the choices from a decision endpoint (OpenAI's, vLLM's, SGLang's)."""
    samples: Count = 3
    """Replies per answer (text, structured)."""
    min_samples: Count | None = None
    """The fewest answered samples that give a verdict (text, structured). The default is all."""
    aggregate: Aggregate | None = None
    """How the samples are combined into a score. The default is the rubric's."""
    max_new_tokens: Count = 256
    """Maximum length of a reply in tokens (text, structured)."""
    temperature: NotNegative = 0.7
    """Temperature of the replies (text, structured)."""
    top_p: ShareAbove0 = 0.9
    """Top-p of the replies (text, structured)."""
    min_mass: Share = 0.0
    """The lowest total probability of the choices that gives a verdict (logprobs, decisions)."""
    calibration: Path | None = None
    """A file of judges.calibrate --fit with learned weights. It is refused for another judge or rubric."""
    min_coverage: Share = 0.9
    """Fail if less than this share of the answers gets a verdict."""


@dataclass(frozen=True)
class PanelOptions:
    """The judges of a panel, and how their verdicts become one."""

    judge: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """A judge of a panel: a model as for --model, NAME@http://host/v1, or a TOML file. Repeat the flag for each judge.
    The TOML file has the settings that differ from the flags: model, base_url, rubric, read, temperature and so on."""
    quorum: Count | None = None
    """The number of judges that must have a verdict. The default is more than half."""
    panel_rule: Aggregate | None = None
    """How the judges' scores are combined. The default is the rubric's rule.
    For comparisons the default is the majority, or a tie if there is none."""


@dataclass(frozen=True)
class CostOptions:
    """The budget of a command."""

    max_cost: Positive | None = None
    """Stop before the output costs more US dollars than this, earlier runs included."""
    max_tokens_total: Total | None = None
    """Stop before the output takes more tokens than this, read and written, earlier runs included."""
    prices: Path | None = None
    """A TOML table: "model" = [read, written] in US dollars per million tokens. The default is the packaged one."""


PAIRWISE = JudgeOptions(rubric="pairwise", samples=1)


def check_reading(engine: EngineOptions, options: JudgeOptions) -> None:
    """Raise InputError, before a model is loaded, if it cannot be read as --read says."""
    if options.read == "decisions" and not is_served(engine):
        raise InputError(spelled(NO_ENDPOINT, of_judge=True))
