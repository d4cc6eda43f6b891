"""deepeval's evaluate with a G-Eval metric whose steps are given, so that each answer is one call."""

from pathlib import Path

from deepeval import evaluate
from deepeval.evaluate import AsyncConfig, DisplayConfig
from deepeval.metrics import GEval
from deepeval.models import LocalModel
from deepeval.test_case import LLMTestCase, SingleTurnParams


def judge(rows: list[dict[str, str]], url: str, in_flight: int, out: Path) -> int:
    """Grade the answers, as many at a time as may be in flight."""
    metric = GEval(
        "helpful",
        evaluation_params=[SingleTurnParams.INPUT, SingleTurnParams.ACTUAL_OUTPUT],
        evaluation_steps=["Rate how helpful the actual output is."],
        model=LocalModel("m", base_url=url, api_key="none"),
    )
    graded = evaluate(
        [LLMTestCase(input=row["prompt"], actual_output=row["response"]) for row in rows],
        [metric],
        async_config=AsyncConfig(max_concurrent=in_flight),
        display_config=DisplayConfig(show_indicator=False, print_results=False, inspect_after_run=False),
    )
    found = [one for result in graded.test_results for one in result.metrics_data or []]
    return sum(one.score is not None for one in found)
