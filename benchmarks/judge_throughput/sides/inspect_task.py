"""inspect-ai's eval of answers that are there already, each graded by its own model_graded_qa."""

from pathlib import Path

from inspect_ai import Task, eval
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ModelOutput
from inspect_ai.scorer import model_graded_qa
from inspect_ai.solver import Generate, Solver, TaskState, solver


@solver
def stored() -> Solver:
    """Take the answer from the sample. No model is asked for one."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        state.output = ModelOutput.from_content("graded", state.metadata["response"])
        return state

    return solve


def judge(rows: list[dict[str, str]], url: str, in_flight: int, out: Path) -> int:
    """Grade the answers, as many samples at a time as calls may be in flight."""
    samples = [
        Sample(input=row["prompt"], target="A helpful answer.", id=row["id"], metadata={"response": row["response"]})
        for row in rows
    ]
    task = Task(dataset=MemoryDataset(samples), solver=stored(), scorer=model_graded_qa())
    limits = {"max_samples": in_flight, "max_connections": in_flight}
    model = {"model": "openai/m", "model_base_url": url, "model_args": {"responses_api": False}}
    (log,) = eval(task, **model, **limits, log_dir=str(out), display="none")
    grades = [score.value for one in log.samples or [] for score in (one.scores or {}).values()]
    return sum(grade in ("C", "I") for grade in grades)
