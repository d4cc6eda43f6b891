"""Results in the schema of Every Eval Ever (evalevalai.com, version 0.3.0), in which people share evaluations."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from evals.report.hub import DATA_SETS
from evals.results.numbers import Number

SCHEMA = "0.3.0"
LOWER_IS_BETTER = ("harm", "refused", "over-refused", "refuted", "perplexity", "loss")
"""Beginnings of the names of such measures."""
RANGES = {"%": (0, 100), "of 10": (1, 10)}
UNITS = {"%": "percent", "of 10": "points"}


def every_eval_ever(
    found: Sequence[Number], model: str, run: str, base: str | None, seconds: int
) -> dict[str, Any] | None:
    """Return one model's results as a record of the schema, or None if there is none.

    The record was made `seconds` after 1970. What only its owner knows, such as an organisation, is "unknown".
    """
    results = [_result(number) for number in found if number.model == model]
    if not results:
        return None
    name = f"{run}-{model}"
    details = {"deployment_type": "self_deployed", "model_availability": "unknown", "run": run, "iteration": model}
    return {
        "schema_version": SCHEMA,
        "evaluation_id": f"judgeloop/{name}/{seconds}",
        "retrieved_timestamp": str(seconds),
        "source_metadata": {
            "source_type": "evaluation_run",
            "source_organization_name": "unknown",
            "evaluator_relationship": "first_party",
        },
        "eval_library": {"name": "judgeloop", "version": version("judgeloop")},
        "model_info": {
            "name": name,
            "id": f"unknown/{name}",
            "additional_details": details | ({} if base is None else {"base_model": base}),
        },
        "evaluation_results": results,
    }


def _result(number: Number) -> dict[str, Any]:
    task = number.benchmark.split(": ")[-1]
    score: dict[str, Any] = {"score": number.value}
    if number.judge is not None:
        score["details"] = {"judge": number.judge}
    uncertainty: dict[str, Any] = {} if number.n is None else {"num_samples": number.n}
    if number.low is not None and number.high is not None:
        ends = {"lower": number.low, "upper": number.high, "confidence_level": 0.95}
        uncertainty["confidence_interval"] = ends
    if uncertainty:
        score["uncertainty"] = uncertainty
    metric: dict[str, Any] = {
        "metric_name": number.measure,
        "lower_is_better": number.measure.startswith(LOWER_IS_BETTER),
    }
    if number.unit in RANGES:
        low, high = RANGES[number.unit]
        shape = {"score_type": "continuous", "min_score": low, "max_score": high}
        metric |= {"metric_unit": UNITS[number.unit], **shape}
    return {
        "evaluation_name": number.benchmark,
        "source_data": _source(task, number),
        "metric_config": metric,
        "score_details": score,
    }


def _source(task: str, number: Number) -> dict[str, str]:
    if task in DATA_SETS:
        return {"dataset_name": task, "source_type": "hf_dataset", "hf_repo": DATA_SETS[task]}
    return {"dataset_name": number.benchmark, "source_type": "other"}
