"""Estimates a loop stage by stage before it starts: calls, tokens, time and memory.

Time and memory come from a short measurement of this machine, or by formula from the model's config.json for given
GPUs. Without either, only calls and tokens are counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from console.errors import InputError
from console.ranges import check_ranges
from console.table import Cell
from trainer.loop.plan.probe import Speeds
from trainer.loop.plan.work import Work
from trainer.loop.recipe import Hardware
from trainer.training.memory.choice import Choice, Device, choose
from trainer.training.memory.size import (
    WHOLE,
    Load,
    ModelSize,
    inference_bytes,
    inference_flops,
    training_flops,
)
from trainer.training.options import Learning, LoraOptions

GIB = 1 << 30


@dataclass(frozen=True)
class StageEstimate:
    """The estimate of one stage, for answers of the greatest length. None means not estimated, as for other judges."""

    stage: str
    n_calls: int
    n_read: int
    """Prompt tokens."""
    n_written: int
    n_trained: int
    """Tokens trained on, over all epochs."""
    seconds: float | None = None
    bytes: float | None = None
    """On this machine, or on each GPU."""
    gpu_hours: float | None = None


def estimate(
    works: Sequence[Work],
    *,
    speeds: Speeds | None = None,
    size: ModelSize | None = None,
    hardware: Hardware | None = None,
    lora: LoraOptions = WHOLE,
) -> list[StageEstimate]:
    """Return the estimate of each stage: from `speeds`, by formula from `size` and `hardware`, or of tokens alone."""
    if size is not None and hardware is not None:
        check_ranges(hardware)
        if hardware.gpus == 0:
            raise InputError("gpus must be above 0 for an estimate by formula")
        return [_by_formula(work, size, hardware, lora) if work.is_own else _counted(work) for work in works]
    return [_measured(work, speeds) if speeds is not None and work.is_own else _counted(work) for work in works]


def table_of(stages: Sequence[StageEstimate], gpu_price: float = 0.0) -> list[dict[str, Cell]]:
    """Return a table row for each stage and a total. Columns for minutes, GiB and GPU-hours appear only if known.

    `gpu_price` is in US dollars per GPU-hour.
    """
    timed = any(stage.seconds is not None for stage in stages)
    on_gpus = any(stage.gpu_hours is not None for stage in stages)
    rows: list[dict[str, Cell]] = []
    for stage in [*stages, _total(stages)]:
        cells: dict[str, Cell] = {
            "stage": stage.stage,
            "calls": stage.n_calls,
            "tokens read": stage.n_read,
            "written, at most": stage.n_written,
            "trained on": stage.n_trained,
        }
        if timed:
            cells["minutes"] = None if stage.seconds is None else stage.seconds / 60
            cells["GiB each" if on_gpus else "GiB"] = None if stage.bytes is None else stage.bytes / GIB
        if on_gpus:
            cells["GPU-hours"] = stage.gpu_hours
            if gpu_price:
                cells["dollars"] = None if stage.gpu_hours is None else stage.gpu_hours * gpu_price
        rows.append(cells)
    return rows


def too_large(stages: Sequence[StageEstimate], hardware: Hardware) -> str | None:
    """Return which stage exceeds a GPU's memory and what to do, or None."""
    largest = max(stages, key=lambda stage: stage.bytes or 0.0)
    if largest.bytes is None or largest.bytes <= hardware.gpu_gib * GIB:
        return None
    return (
        f"{largest.stage} takes about {largest.bytes / GIB:.0f} GiB on {_on(hardware.gpus)} of "
        f"{hardware.gpu_gib:g}: use more of them, or a smaller micro_batch_size or max_length"
    )


def _on(gpus: int) -> str:
    return f"each of {gpus} GPUs" if gpus > 1 else "a GPU"


def _counted(work: Work) -> StageEstimate:
    return StageEstimate(work.stage, work.n_calls, work.n_read, work.n_written, work.n_trained)


def _measured(work: Work, speeds: Speeds) -> StageEstimate:
    # With log-probabilities the judge computes its rubric once, so the measurement timed calls instead of tokens.
    read_s = work.n_read / speeds.read_per_s
    if work.kind == "judge" and speeds.judge_call_s is not None:
        read_s = work.n_calls * speeds.judge_call_s
    seconds = (
        (speeds.load_s if work.kind != "judge" else 0.0)  # the judge is the model that has just answered
        + read_s
        + work.n_written / speeds.written_per_s
        + work.n_trained / speeds.trained_per_s
        + work.n_reference / speeds.read_per_s
        + work.n_steps * speeds.step_s
    )
    peak = speeds.training_bytes if work.kind == "train" else speeds.inference_bytes
    if peak is not None and speeds.inference_bytes is not None:
        peak += work.n_beside * speeds.inference_bytes
    return StageEstimate(work.stage, work.n_calls, work.n_read, work.n_written, work.n_trained, seconds, peak)


def _by_formula(work: Work, size: ModelSize, hardware: Hardware, lora: LoraOptions) -> StageEstimate:
    flops = training_flops(size, work.n_trained, lora) / hardware.mfu_training
    # The reference reads whole batches, as efficiently as training does.
    flops += inference_flops(size, work.n_reference) / hardware.mfu_training
    # each token once, read or written: keys and values are kept
    flops += inference_flops(size, work.n_read - work.n_shared + work.n_written) / hardware.mfu_inference
    gpu_s = flops / (hardware.gpu_tflops * 1e12)
    if work.kind == "train":
        memory = memory_of(work, size, hardware, lora).parts.total
        memory += work.n_beside * inference_bytes(size, 0, hardware.gpus)
    else:
        memory = inference_bytes(size, work.n_widest, hardware.gpus)
    return StageEstimate(
        work.stage,
        work.n_calls,
        work.n_read,
        work.n_written,
        work.n_trained,
        gpu_s / hardware.gpus,
        memory,
        gpu_s / 3600,
    )


def memory_of(work: Work, size: ModelSize, hardware: Hardware, lora: LoraOptions) -> Choice:
    """Return the settings and the memory of a training on `hardware`."""
    device = Device(hardware.gpu_gib * GIB, on_gpu=True)
    options = replace(work.training or Learning(), lora=lora)
    return choose(options, size, Load(work.n_widest, hardware.gpus), device)


def _total(stages: Sequence[StageEstimate]) -> StageEstimate:
    seconds = [stage.seconds for stage in stages if stage.seconds is not None]
    peaks = [stage.bytes for stage in stages if stage.bytes is not None]
    hours = [stage.gpu_hours for stage in stages if stage.gpu_hours is not None]
    is_part = 0 < len(seconds) < len(stages)
    return StageEstimate(
        "all, with the time of the run's own models" if is_part else "all",
        sum(stage.n_calls for stage in stages),
        sum(stage.n_read for stage in stages),
        sum(stage.n_written for stage in stages),
        sum(stage.n_trained for stage in stages),
        sum(seconds) if seconds else None,
        max(peaks, default=None),
        sum(hours) if hours else None,
    )
