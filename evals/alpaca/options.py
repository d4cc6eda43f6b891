"""The flags that evaluations share; the judge's say --judge-, so that none is taken for the evaluated model's."""

from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import tyro

from console.ranges import Count, CountOr0, NotNegative, Share, ShareAbove0
from engines.options import EngineKind, EngineOptions, Parameter
from judges.options import JudgeOptions, Reading

AlpacaVersion = Literal[2, 1]


@dataclass(frozen=True)
class JudgeFlags:
    """Which judge compares the answers, and how it is asked."""

    judge_model: str | None = None
    """The model that judges; the default is the evaluated model itself, with all of its engine's flags."""
    judge_engine: EngineKind | None = None
    """The judge's engine; the default is the evaluated model's."""
    judge_base_url: str | None = None
    """The judge's OpenAI-compatible server; the default is the evaluated model's."""
    judge_api_key_env: str | None = None
    """The environment variable that holds the key of the judge's server."""
    judge_omit: tyro.conf.UseAppendAction[tuple[Parameter, ...]] = ()
    """Do not send this parameter to the judge's server; again for each further one."""
    judge_thinking_tokens: CountOr0 | None = None
    """Room for the judge's reasoning; the default is the evaluated model's where that one judges."""
    judge_served_as: str | None = None
    """What the fingerprint calls the judge, in place of its name and what its server says of it."""
    judge_rubric: str = "pairwise"
    """A rubric that compares two answers, or the path of a .toml file."""
    judge_read: Reading = "logprobs"
    """logprobs: the probability of either answer, one prefill an order. text: a reply an order, parsed."""
    judge_max_new_tokens: Count = 256
    """The judge's longest reply (text)."""
    judge_temperature: NotNegative = 0.7
    """Of the judge's replies (text)."""
    judge_top_p: ShareAbove0 = 0.9
    """Of the judge's replies (text)."""
    judge_min_mass: Share = 0.0
    """No verdict where the judge's choices have less probability than this together (logprobs)."""
    min_coverage: Share = 0.9
    """Fail where a smaller share of the prompts gets a verdict; what was judged is kept."""

    def is_given(self) -> bool:
        """Return whether any flag names another judge than the evaluated model."""
        return any((self.judge_model, self.judge_engine, self.judge_base_url))

    def engine_options(self, evaluated: EngineOptions) -> EngineOptions:
        """Return the judge's engine: the evaluated model's, changed by what is given."""
        given = {
            "model": self.judge_model,
            "engine": self.judge_engine,
            "base_url": self.judge_base_url,
            "api_key_env": self.judge_api_key_env,
        }
        changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        if self.is_given():  # another model: what its server takes and is called is its own
            changes |= {"omit": (), "thinking_tokens": 0, "served_as": None}
        if self.judge_omit:
            changes["omit"] = self.judge_omit
        if self.judge_thinking_tokens is not None:
            changes["thinking_tokens"] = self.judge_thinking_tokens
        if self.judge_served_as is not None:
            changes["served_as"] = self.judge_served_as
        if self.judge_engine == "transformers" and self.judge_base_url is None:
            changes["base_url"] = None  # the evaluated model may be on a server while its judge is not
        elif self.judge_base_url and self.judge_engine is None:
            changes["engine"] = "openai"
        return replace(evaluated, **changes)

    def judge_options(self) -> JudgeOptions:
        """Return how the judge is asked and read."""
        return JudgeOptions(
            rubric=self.judge_rubric,
            read=self.judge_read,
            samples=1,
            max_new_tokens=self.judge_max_new_tokens,
            temperature=self.judge_temperature,
            top_p=self.judge_top_p,
            min_mass=self.judge_min_mass,
            min_coverage=self.min_coverage,
        )


SharedJudgeFlags = Annotated[JudgeFlags, tyro.conf.OmitArgPrefixes]
