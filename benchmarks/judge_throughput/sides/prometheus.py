"""prometheus-eval's absolute grading, through its asynchronous client on litellm. It returns all at the end."""

from pathlib import Path

from prometheus_eval import PrometheusEval
from prometheus_eval.litellm import AsyncLiteLLM
from prometheus_eval.prompts import ABSOLUTE_PROMPT_WO_REF

RUBRIC = "Is the answer helpful?\nScore 1: no.\nScore 2: hardly.\nScore 3: partly.\nScore 4: mostly.\nScore 5: yes."
UNLIMITED = 10**7
"""Calls a minute. Its own default is 100."""


def judge(rows: list[dict[str, str]], url: str, in_flight: int, out: Path) -> int:
    """Grade the answers in batches of what may be in flight."""
    model = AsyncLiteLLM("openai/m", batch_size=in_flight, requests_per_minute=UNLIMITED, api_base=url)
    grader = PrometheusEval(model=model, absolute_grade_template=ABSOLUTE_PROMPT_WO_REF)
    _, scores = grader.absolute_grade(
        instructions=[row["prompt"] for row in rows],
        responses=[row["response"] for row in rows],
        rubric=RUBRIC,
        reference_answers=[None] * len(rows),
        params={},
    )
    return sum(score is not None for score in scores)
