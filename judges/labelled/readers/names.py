"""Names of the formats, in a module of their own so that a command's flags load no reader."""

from typing import Literal

FormatName = Literal[
    "llmbar", "pandalm", "judgebench", "faireval", "alpacafarm", "autoj", "rmbench", "rewardbench", "oasst", "ranked",
    "mtbench", "mtbench-games", "mtbench-scores", "prometheus", "hhh", "pairs", "preferences", "scores",
]  # fmt: skip
