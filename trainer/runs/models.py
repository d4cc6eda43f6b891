"""Opens the models of a run's iterations."""

import gc

from engines.local.transformers_engine import TransformersEngine
from engines.options import EngineOptions
from engines.protocol import Engine
from engines.trained import open_trained
from records.runs import Run


def open_model(run: Run, number: int, options: EngineOptions) -> Engine:
    """Return an engine with the model of iteration `number`, under the name `iterN`."""
    return open_trained(run.model(number), f"iter{number}", options)


def open_reader(run: Run, number: int, options: EngineOptions) -> TransformersEngine:
    """Return the model of iteration `number` to read likelihoods of whole texts, through transformers in any case."""
    folder, name = run.model(number), f"iter{number}"
    gc.collect()  # another engine of the same model may just have been let go
    return TransformersEngine.load(folder, name, options.batch_size, options.chat_template_kwargs, options.dtype)
