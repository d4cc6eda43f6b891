"""The runners that are compared, with what pip installs for each and the reply that each reads a verdict from."""

import json
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Runner:
    """A module of `sides`. Without requirements it runs in this environment. The first of them is the runner itself."""

    title: str
    module: str
    reply: str
    requirements: list[str] = field(default_factory=list)
    is_light: bool = False


REASON = "The answer is relevant and covers most of the request (call-NUMBER), but leaves out the reason why."
PLAIN = f"{REASON}\n\nScore: 4"
RUNNERS = {
    "project": Runner("this project", "project", PLAIN, is_light=True),
    "sdk": Runner("bare loop, openai SDK", "sdk", PLAIN, is_light=True),
    "openevals": Runner(
        "openevals", "open_evals", json.dumps({"reasoning": REASON, "score": 0.8}), ["openevals", "openai"], True
    ),
    "prometheus-eval": Runner("prometheus-eval", "prometheus", f"Feedback: {REASON} [RESULT] 4", ["prometheus-eval"]),
}
"""All runners, by the names that --runners takes."""
