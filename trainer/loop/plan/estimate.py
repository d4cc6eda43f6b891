"""What a loop will take, stage by stage: calls, tokens, time and memory, before it is begun.

Three ways: calls and tokens alone; with a short measurement of this machine; for given GPUs by formula, from the
model's config.json.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from console.errors import InputError
from console.ranges import check_ranges
from console.table import Cell
from trainer.loop.plan.model_size import ModelSize, inference_bytes, inference_flops, training_bytes, training_flops
from trainer.loop.plan.probe import Speeds
from trainer.loop.plan.workload import Work
from trainer.loop.recipe import Hardware

GIB = 1 << 30


@dataclass(frozen=True)
class StageEstimate:
    """One stage; None is: not estimated. All are for the longest answers there can be."""

    stage: str
    n_calls: int
    n_read: int
    """Prompt tokens."""
    n_written: int
    n_trained: int
    """Tokens trained on, all epochs together."""
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
) -> list[StageEstimate]:
    """Return the estimate of each stage: from `speeds`, by formula from `size` and `hardware`, or of tokens alone."""
    if size is not None and hardware is not None:
        check_ranges(hardware)
        if hardware.gpus == 0:
            raise InputError("gpus must be above 0 for an estimate by formula")
        return [_by_formula(work, size, hardware) for work in works]
    return [_counted(work) if speeds is None else _measured(work, speeds) for work in works]


def table_of(found: Sequence[StageEstimate]) -> list[dict[str, Cell]]:
    """Return a table row for each stage and one for all; minutes, GiB and GPU-hours stand only where they are known."""
    timed = any(one.seconds is not None for one in found)
    on_gpus = any(one.gpu_hours is not None for one in found)
    rows: list[dict[str, Cell]] = []
    for one in [*found, _total(found)]:
        row: dict[str, Cell] = {
            "stage": one.stage,
            "calls": one.n_calls,
            "tokens read": one.n_read,
            "written, at most": one.n_written,
            "trained on": one.n_trained,
        }
        if timed:
            row["minutes"] = None if one.seconds is None else one.seconds / 60
            row["GiB each" if on_gpus else "GiB"] = None if one.bytes is None else one.bytes / GIB
        if on_gpus:
            row["GPU-hours"] = one.gpu_hours
        rows.append(row)
    return rows


def too_large(found: Sequence[StageEstimate], hardware: Hardware) -> str | None:
    """Return which stage does not fit a GPU's memory and what to do, or None."""
    largest = max(found, key=lambda one: one.bytes or 0.0)
    if largest.bytes is None or largest.bytes <= hardware.gpu_gib * GIB:
        return None
    return (
        f"{largest.stage} takes about {largest.bytes / GIB:.0f} GiB on each of {hardware.gpus} GPUs of "
        f"{hardware.gpu_gib:g}: use more of them, or a smaller micro_batch_size or max_length"
    )


def _counted(work: Work) -> StageEstimate:
    return StageEstimate(work.stage, work.n_calls, work.n_read, work.n_written, work.n_trained)


def _measured(work: Work, speeds: Speeds) -> StageEstimate:
    # A judge that reads log-probabilities computes its rubric once, so its calls were timed and not its tokens.
    read_s = work.n_read / speeds.read_per_s
    if work.kind == "judge" and speeds.judge_call_s is not None:
        read_s = work.n_calls * speeds.judge_call_s
    seconds = (
        (speeds.load_s if work.kind != "judge" else 0.0)
        + read_s
        + work.n_written / speeds.written_per_s
        + work.n_trained / speeds.trained_per_s
        + work.n_reference / speeds.read_per_s
        + work.n_steps * speeds.step_s
    )
    peak = speeds.training_bytes if work.kind == "train" else speeds.inference_bytes
    return StageEstimate(work.stage, work.n_calls, work.n_read, work.n_written, work.n_trained, seconds, peak)


def _by_formula(work: Work, size: ModelSize, hardware: Hardware) -> StageEstimate:
    flops = training_flops(size, work.n_trained) / hardware.mfu_training
    flops += inference_flops(size, work.n_reference) / hardware.mfu_training  # whole batches: as busy as training
    flops += inference_flops(size, work.n_read + work.n_written) / hardware.mfu_inference
    gpu_s = flops / (hardware.gpu_tflops * 1e12)
    memory = training_bytes if work.kind == "train" else inference_bytes
    return StageEstimate(
        work.stage,
        work.n_calls,
        work.n_read,
        work.n_written,
        work.n_trained,
        gpu_s / hardware.gpus,
        memory(size, work.n_widest, hardware.gpus),
        gpu_s / 3600,
    )


def _total(found: Sequence[StageEstimate]) -> StageEstimate:
    seconds = [one.seconds for one in found if one.seconds is not None]
    peaks = [one.bytes for one in found if one.bytes is not None]
    hours = [one.gpu_hours for one in found if one.gpu_hours is not None]
    return StageEstimate(
        "all",
        sum(one.n_calls for one in found),
        sum(one.n_read for one in found),
        sum(one.n_written for one in found),
        sum(one.n_trained for one in found),
        sum(seconds) if len(seconds) == len(found) else None,
        max(peaks, default=None),
        sum(hours) if len(hours) == len(found) else None,
    )
