"""evalscope's run_task on answers that are there already, each graded by its own judge of the contract `numeric`."""

import json
from pathlib import Path
from typing import Any

from evalscope import TaskConfig, run_task
from evalscope.api.model import ModelAPI, ModelOutput


class Stored(ModelAPI):  # type: ignore[misc]
    """Gives the stored answer to a question."""

    def __init__(self, answers: dict[str, str]) -> None:
        super().__init__("stored")
        self.answers = answers

    def generate(self, input: list[Any], *args: Any, **kwargs: Any) -> Any:
        """Return the answer."""
        return ModelOutput.from_content("stored", self.answers[input[-1].text])


def judge(rows: list[dict[str, str]], url: str, in_flight: int, out: Path) -> int:
    """Grade the answers with as many threads as calls may be in flight."""
    questions = [f"{row['prompt']} ({row['id']})" for row in rows]
    folder = out / "data"
    folder.mkdir(parents=True)
    lines = [json.dumps({"query": question, "response": "-"}) + "\n" for question in questions]
    (folder / "rows.jsonl").write_text("".join(lines), encoding="utf-8")
    reports = run_task(
        TaskConfig(
            model=Stored(dict(zip(questions, (row["response"] for row in rows), strict=True))),
            datasets=["general_qa"],
            dataset_args={"general_qa": {"local_path": str(folder), "subset_list": ["rows"]}},
            judge={
                "strategy": "llm",
                "models": [{"model_id": "m", "api_url": url, "api_key": "none"}],
                "contract": {"score_type": "numeric"},
            },
            eval_batch_size=in_flight,
            work_dir=str(out),
        )
    )
    return int(reports["general_qa"].judge_summary.scored)
