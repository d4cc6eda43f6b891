"""distilabel's pipeline of one task, prometheus-eval's grading, in batches. Steps are processes of their own."""

from pathlib import Path

from distilabel.models import OpenAILLM
from distilabel.pipeline import Pipeline
from distilabel.steps import LoadDataFromDicts
from distilabel.steps.tasks import PrometheusEval


def judge(rows: list[dict[str, str]], url: str, in_flight: int, out: Path) -> int:
    """Grade the answers in batches of what may be in flight."""
    answers = [{"instruction": row["prompt"], "generation": row["response"]} for row in rows]
    with Pipeline(out.stem, cache_dir=out) as pipeline:
        load = LoadDataFromDicts(data=answers, batch_size=in_flight)
        llm = OpenAILLM(model="m", base_url=url, api_key="none")
        load >> PrometheusEval(llm=llm, mode="absolute", rubric="helpfulness", input_batch_size=in_flight)
    graded = pipeline.run(use_cache=False)["default"]["train"]
    return sum(result is not None for result in graded["result"])
