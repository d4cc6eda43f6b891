"""verdict's pipeline of one judge over a dataset, through litellm. Without DEBUG it writes its log of calls only."""

from pathlib import Path

from datasets import Dataset
from verdict import Pipeline
from verdict.common.judge import JudgeUnit
from verdict.dataset import DatasetWrapper
from verdict.extractor import RegexExtractor
from verdict.model import vLLMModel
from verdict.scale import DiscreteScale
from verdict.util import ratelimit

PROMPT = "Rate the answer from 1 to 5. End with 'Score: N'.\n\nQuestion: {source.prompt}\n\nAnswer: {source.response}"


class Score(RegexExtractor):  # type: ignore[misc]
    """Reads the score. verdict makes one for each call if it is given a class: threads that share one break it."""

    def __init__(self) -> None:
        super().__init__({"score": r"(?<=Score: )\d"})


def judge(rows: list[dict[str, str]], url: str, in_flight: int, out: Path) -> int:
    """Grade the answers with as many threads as calls may be in flight, without its own limit of calls."""
    ratelimit.disable()
    unit = JudgeUnit(DiscreteScale((1, 5))).prompt(PROMPT).extract(Score)
    pipeline = Pipeline(out.stem) >> unit.via(vLLMModel("m", api_base=url, api_key="none"))
    answers = [{"prompt": row["prompt"], "response": row["response"]} for row in rows]
    graded, columns = pipeline.run_from_dataset(DatasetWrapper(Dataset.from_list(answers)), max_workers=in_flight)
    return int(graded[columns[0]].notna().sum())
