"""The flags of python -m judges.serve."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from console.command import Flags
from console.ranges import Count, Port, Positive
from engines.options import EngineOptions, SharedEngineOptions
from judges.options import JudgeOptions, PanelOptions
from judges.tools.options import EvidenceOptions


@dataclass(frozen=True)
class Limits:
    """What callers may ask for."""

    max_body_mb: Positive = 8.0
    """The largest body of a request, in MB."""
    max_requests: Count = 1024
    """Requests under way. Further ones are refused with 429."""
    max_rows: Count = 1024
    """Answers, pairs or questions in one request. A decision request has 400 at most."""
    batch: Count = 64
    """The most questions of all callers that are asked together."""


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Serve a judge over HTTP."""

    engine: SharedEngineOptions = field(default_factory=EngineOptions)
    judge: Annotated[JudgeOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=JudgeOptions)
    pair_rubric: str = "pairwise"
    """The rubric of /compare and /group. If --rubric compares two answers, it is that one, and nothing is scored."""
    evidence: Annotated[EvidenceOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=EvidenceOptions)
    panel: Annotated[PanelOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=PanelOptions)
    limits: Annotated[Limits, tyro.conf.OmitArgPrefixes] = field(default_factory=Limits)
    host: str = "127.0.0.1"
    """The address to listen on. Any other than this machine's own needs --key-env."""
    port: Port = 8300
    """The port to listen on. 0 takes a free one."""
    key_env: str | None = None
    """The environment variable with the key that callers must send, as `Authorization: Bearer KEY`."""
    out: Path = Path("runs/serve")
    """The folder of the verdicts: one file per judge, which other runs of the same judge go on with."""
