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
PROMETHEUS = f"Feedback: {REASON} [RESULT] 4"
RUNNERS = {
    "project": Runner("this project", "project", PLAIN, is_light=True),
    "sdk": Runner("bare loop, openai SDK", "sdk", PLAIN, is_light=True),
    "openevals": Runner(
        "openevals", "open_evals", json.dumps({"reasoning": REASON, "score": 0.8}), ["openevals", "openai"], True
    ),
    "prometheus-eval": Runner("prometheus-eval", "prometheus", PROMETHEUS, ["prometheus-eval"]),
    "verdict": Runner("verdict", "verdict_unit", PLAIN, ["verdict"]),
    "distilabel": Runner("distilabel", "distilabel_task", PROMETHEUS, ["distilabel[openai]", "requests"]),
    "lm-eval": Runner("lm-eval", "lm_harness", PLAIN, ["lm-eval[api]"]),
    "evalscope": Runner("evalscope", "evalscope_task", json.dumps({"reasoning": REASON, "score": 0.8}), ["evalscope"]),
    "alpaca-eval": Runner("alpaca-eval", "alpaca", f"{REASON}\n\nOutput (b)", ["alpaca-eval", "setuptools<81"]),
    "inspect-ai": Runner("inspect-ai", "inspect_task", f"{REASON}\n\nGRADE: C", ["inspect-ai", "openai"]),
    "deepeval": Runner("deepeval", "geval", json.dumps({"reason": REASON, "score": 8}), ["deepeval"]),
}
"""All runners, by the names that --runners takes."""
