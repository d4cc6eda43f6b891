"""The flags of evals.open_llm."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from console.command import Flags, off
from console.ranges import Count, CountOr0, Seed
from console.writing import OutFolder
from engines.chat.options import ChatTemplateKwargs

BENCHMARK = "open_llm"


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Measure a model on tasks with known answers."""

    model: str = "smollm2"
    """The model: iterN, a folder, a hub id, or smollm2."""
    run: str | None = None
    """The run of iterN. The default is the newest."""
    tasks: tuple[str, ...] = ()
    """The tasks: this project's, any task or group of lm-eval, or a task file. The default is all of this project's
    with available data."""
    data_dir: Path | None = None
    """A folder with the data of this project's tasks. The default is the hub, and lm-eval's own read from there."""
    limit: Count | None = None
    """Only the first N questions of each task, and of each subject of MMLU."""
    shots: CountOr0 | None = None
    """Examples before each question, instead of the task's own number. TruthfulQA's prompt stays as it is."""
    seed: Seed = 1234
    """Draws the examples before the questions. The default is lm-eval's, so that its numbers are the same."""
    engine: Literal["auto", "transformers", "vllm"] = "auto"
    """The engine in lm-eval. auto: vllm if it is installed and there is a GPU."""
    chat: Annotated[bool, off("Ask in plain text, without the model's chat template.")] = True
    """Ask with the model's chat template, the examples as turns, as in the paper. False asks in plain text."""
    batch_size: Count = 8
    """Sequences in memory at once."""
    chat_template_kwargs: ChatTemplateKwargs = field(default_factory=dict)
    """Variables of the model's chat template, e.g. '{"enable_thinking": false}'."""
    out: OutFolder | None = None
    """The folder of the results. The default is runs/<run>/evals/<model>/open_llm."""
