"""Opens the models of a run's iterations."""

from engines.local.transformers_engine import TransformersEngine
from engines.options import EngineOptions
from records.runs import Run


def open_model(run: Run, number: int, options: EngineOptions) -> TransformersEngine:
    """Return an engine with the model of iteration `number`, under the name `iterN`."""
    folder, name = run.model(number), f"iter{number}"
    return TransformersEngine.load(folder, name, options.batch_size, options.chat_template_kwargs)
