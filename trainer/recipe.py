"""The settings of a whole run, as a recipe file in recipes/ gives them."""

from dataclasses import dataclass, field
from pathlib import Path

from console.command import Flags
from console.errors import InputError
from engines.options import EngineOptions, SharedEngineOptions
from judges.options import JudgeOptions
from judges.retrieval.options import EvidenceOptions
from trainer.dpo import DPOOptions
from trainer.pairs import PairOptions
from trainer.sft import SFTOptions


@dataclass(frozen=True)
class CandidateOptions:
    """The answers that a model writes to each new prompt (Self-Rewarding, section 3.1.4)."""

    prompts: int = 24
    """New prompts a round; no prompt is used twice."""
    n: int = 4
    """Answers a prompt."""
    max_new_tokens: int = 512
    """The longest answer."""
    temperature: float = 0.7
    top_p: float = 0.9


@dataclass(frozen=True)
class SeedOptions:
    """What the first fine-tuning learns from; the default of each is the packaged one."""

    prompts: Path | None = None
    """Prompts for the rounds and the evaluation."""
    ift: Path | None = None
    """Conversations that show how to answer."""
    eft: Path | None = None
    """Ranked answers that show how to judge."""
    eft_limit: int | None = None
    """Use only N judged answers, drawn at random."""


@dataclass(frozen=True)
class EvalOptions:
    """How every iteration is measured: on prompts that no round uses, by one judge for the whole run."""

    prompts: int = 16
    """Held-out prompts."""
    judge: int = 1
    """The iteration whose model judges all others; the first that has learnt to judge, so that the stick stays one."""
    rubric: str = "pairwise"
    """The rubric of the comparison with iter0."""


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """A whole self-rewarding run."""

    name: str = "self_rewarding"
    """The run's folder under runs/."""
    iterations: int = 3
    """iter1 is supervised, each later one a round of DPO on the model's own judged answers."""
    engine: SharedEngineOptions = field(default_factory=EngineOptions)
    seeds: SeedOptions = field(default_factory=SeedOptions)
    candidates: CandidateOptions = field(default_factory=CandidateOptions)
    judge: JudgeOptions = field(default_factory=JudgeOptions)
    evidence: EvidenceOptions = field(default_factory=EvidenceOptions)
    pairs: PairOptions = field(default_factory=PairOptions)
    sft: SFTOptions = field(default_factory=SFTOptions)
    dpo: DPOOptions = field(default_factory=DPOOptions)
    eval: EvalOptions = field(default_factory=EvalOptions)


def check(config: Config) -> None:
    """Raise InputError where the settings do not fit together, before anything is loaded."""
    if config.iterations < 1:
        raise InputError(f"--iterations must be at least 1, not {config.iterations}")
    if config.candidates.n < 2:
        raise InputError(f"--candidates.n must be at least 2 to make a pair, not {config.candidates.n}")
    if not 0 <= config.eval.judge <= config.iterations:
        raise InputError(f"--eval.judge must name an iteration from 0 to {config.iterations}, not {config.eval.judge}")
    if config.candidates.prompts < 1 or config.eval.prompts < 1:
        raise InputError("--candidates.prompts and --eval.prompts must be at least 1")
    if config.engine.engine != "auto" or config.engine.base_url:
        raise InputError(
            "the loop trains the model that it asks, so it runs it in process: leave --engine and --base-url"
        )
