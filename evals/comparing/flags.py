"""The flags of the judge that compares answers. They begin with --judge-, to tell them from the evaluated model's."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import tyro

from console.ranges import Count, CountOr0, NotNegative, Share, ShareAbove0
from engines.options import IN_PROCESS, EngineKind, EngineOptions, Parameter
from judges.options import JudgeOptions, Reading


@dataclass(frozen=True)
class JudgeEngineFlags:
    """The model that judges, and where it is."""

    judge_model: str | None = None
    """The judge's model. The default is the evaluated model itself, with all of its engine's flags."""
    judge_engine: EngineKind | None = None
    """The judge's engine. The default is the evaluated model's."""
    judge_base_url: str | None = None
    """The judge's OpenAI-compatible server. The default is the evaluated model's."""
    judge_api_key_env: str | None = None
    """The environment variable that holds the key of the judge's server."""
    judge_omit: tyro.conf.UseAppendAction[tuple[Parameter, ...]] = ()
    """Do not send this parameter to the judge's server. Repeat the flag for more parameters."""
    judge_thinking_tokens: CountOr0 | None = None
    """Tokens for the judge's reasoning. The default is the evaluated model's if it is its own judge."""
    judge_served_as: str | None = None
    """The judge's name in the fingerprint, instead of its own name and its server's description."""

    def is_given(self) -> bool:
        """Return whether a flag names a judge other than the evaluated model."""
        return any((self.judge_model, self.judge_engine, self.judge_base_url))

    def engine_options(self, evaluated: EngineOptions) -> EngineOptions:
        """Return the evaluated model's engine options, changed by the judge's flags."""
        given = {
            "model": self.judge_model,
            "engine": self.judge_engine,
            "base_url": self.judge_base_url,
            "api_key_env": self.judge_api_key_env,
        }
        changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        if self.is_given():  # another model, so its server takes other parameters and has another name
            changes |= {"omit": (), "thinking_tokens": 0, "served_as": None}
        if self.judge_omit:  # after the reset above, so that the judge's own flags win
            changes["omit"] = self.judge_omit
        if self.judge_thinking_tokens is not None:
            changes["thinking_tokens"] = self.judge_thinking_tokens
        if self.judge_served_as is not None:
            changes["served_as"] = self.judge_served_as
        if self.judge_engine in IN_PROCESS and self.judge_base_url is None:
            changes["base_url"] = None  # the evaluated model may be on a server while its judge is not
        elif self.judge_base_url and self.judge_engine is None:
            changes["engine"] = "openai"
        return replace(evaluated, **changes)


@dataclass(frozen=True)
class JudgeFlags(JudgeEngineFlags):
    """The judge that compares the answers, and its settings."""

    judge_rubric: str = "pairwise"
    """A rubric that compares two answers, or the path of a .toml file."""
    judge_read: Reading = "logprobs"
    """logprobs: the probability of either answer, one prefill per order. text: one parsed reply per order."""
    judge_max_new_tokens: Count = 256
    """The judge's longest reply (text)."""
    judge_temperature: NotNegative = 0.7
    """The temperature of the judge's replies (text)."""
    judge_top_p: ShareAbove0 = 0.9
    """The nucleus of the judge's replies (text)."""
    judge_min_mass: Share = 0.0
    """No verdict if the total probability of the judge's choices is lower than this (logprobs)."""
    judge_calibration: Path | None = None
    """A file of judges.calibrate --fit, learned for this judge and rubric."""
    min_coverage: Share = 0.9
    """Fail if a smaller share of the prompts gets a verdict. The stored judgments stay."""

    def judge_options(self) -> JudgeOptions:
        """Return the settings of the judge."""
        return JudgeOptions(
            rubric=self.judge_rubric,
            read=self.judge_read,
            samples=1,
            max_new_tokens=self.judge_max_new_tokens,
            temperature=self.judge_temperature,
            top_p=self.judge_top_p,
            min_mass=self.judge_min_mass,
            calibration=self.judge_calibration,
            min_coverage=self.min_coverage,
        )


SharedJudgeFlags = Annotated[JudgeFlags, tyro.conf.OmitArgPrefixes]
