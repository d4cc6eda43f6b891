"""The formats that can be read; apart, so that a command can name them without loading the readers."""

from typing import Literal

FormatName = Literal[
    "llmbar", "pandalm", "judgebench", "faireval", "autoj", "rmbench", "rewardbench", "oasst", "ranked", "mtbench",
    "mtbench-games", "mtbench-scores", "prometheus", "hhh", "pairs", "preferences", "scores",
]  # fmt: skip
