"""The flags of evals.factuality. The judge's begin with --judge-, to tell them from the evaluated models'."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from console.command import Flags
from console.ranges import Count, NotNegative, Share, ShareAbove0
from engines.options import EngineOptions, SharedEngineOptions
from engines.shards.options import SharedWorkerOptions, WorkerOptions
from evals.comparing.flags import JudgeEngineFlags
from judges.tools.options import EvidenceOptions

BENCHMARK = "factuality"
PACKAGED = "smollm2"


@dataclass(frozen=True)
class FactChecks:
    """How the claims of an answer are listed, looked up and verified."""

    corpus: Path | None = None
    """A folder of .txt and .md files, or a .jsonl, .json, .csv, .tsv or .parquet file of texts."""
    search: str = "bm25"
    """bm25, dense, hybrid, the URL of a search server, or a Python function as module:function."""
    encoder: str = "minilm"
    """The sentence encoder of dense and hybrid: minilm (the packaged one), a folder, or a hub id."""
    k: Count = 5
    """Passages read per claim."""
    claims: Literal["model", "sentences"] = "model"
    """model: the judge lists the claims. sentences: each sentence is one, at no call."""
    max_claims: Count = 64
    """Check only the first N claims of an answer."""
    verifier: Literal["judge", "nli"] = "judge"
    """Who decides whether a passage supports a claim: the judge, or the model of --nli-model."""
    nli_model: str | None = None
    """A folder or hub id of a sequence classifier with the labels entailment, contradiction and perhaps neutral."""
    f1_k: Count = 10
    """K of F1@K: the number of supported claims that counts as full recall."""

    def evidence_options(self) -> EvidenceOptions:
        """Return the settings of the tool that checks claims."""
        return EvidenceOptions(tool="search", verify="f1", **asdict(self))

    @property
    def asks_judge(self) -> bool:
        """Whether the judge is asked anything."""
        return self.claims == "model" or self.verifier == "judge"


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Measure which of the claims in a model's answers a corpus supports."""

    models: tyro.conf.Positional[tuple[str, ...]] = ()
    """Names as for --model, or files of answers. The default is --model, or else all iterations of the run."""
    engine: SharedEngineOptions = field(default_factory=lambda: EngineOptions(model=""))
    judge: Annotated[JudgeEngineFlags, tyro.conf.OmitArgPrefixes] = field(default_factory=JudgeEngineFlags)
    facts: Annotated[FactChecks, tyro.conf.OmitArgPrefixes] = field(default_factory=FactChecks)
    scale: SharedWorkerOptions = field(default_factory=WorkerOptions)
    prompts: Path | None = None
    """The prompts that models answer. Of a file of answers only those to these prompts count."""
    max_new_tokens: Count = 512
    """The longest answer."""
    temperature: NotNegative = 0.7
    """The temperature of the answers. 0 takes the most likely token."""
    top_p: ShareAbove0 = 0.9
    """The nucleus of the answers."""
    limit: Count | None = None
    """Only the first N prompts, or answers of a file."""
    min_coverage: Share = 0.9
    """Fail if a smaller share of the answers could be checked. The stored evidence stays."""
    resamples: Count = 1000
    """Bootstrap resamples of the prompts for the intervals."""
