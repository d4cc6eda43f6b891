"""The rival: Ray Data with an actor for each worker, and its own checkpoints of rows."""

import sys
from pathlib import Path

import msgspec
import ray
from ray.data.checkpoint import CheckpointConfig

from benchmarks.scale_out.work import items, slow_judge
from records import Response


class RayJudge:
    """Ray Data's way of work with a model: an actor that gets a batch."""

    def __init__(self, folder: str, call_s: float) -> None:
        self.judge = slow_judge(folder, call_s)

    def __call__(self, batch: "dict[str, object]") -> "dict[str, object]":
        """Judge the rows of a batch."""
        rows = [msgspec.json.decode(row, type=Response) for row in batch["item"]]  # type: ignore[attr-defined]
        made = [msgspec.json.encode(row).decode() for row in self.judge.judge(rows)]
        return {"id": batch["id"], "judgment": made}


def ray_data(folder: str, n: int, call_s: float, n_rows: int, n_workers: int) -> None:
    """Do the work with Ray Data and its own checkpoints, one block of rows for each shard."""
    # logical processors: reading and writing need some beside the actors, whose calls only wait
    ray.init(num_cpus=8, include_dashboard=False, logging_level="warning")
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.checkpoint_config = CheckpointConfig(
        id_column="id", checkpoint_path=f"{folder}/checkpoint", delete_checkpoint_on_success=False
    )
    inputs = Path(folder) / "inputs"
    if not inputs.exists():
        inputs.mkdir()
        rows = items(slow_judge(folder, call_s), n)
        for start in range(0, n, n_rows):
            lines = (
                msgspec.json.encode({"id": row.id, "item": msgspec.json.encode(row.item).decode()})
                for row in rows[start : start + n_rows]
            )
            (inputs / f"{start:08}.json").write_bytes(b"\n".join(lines) + b"\n")
    data = ray.data.read_json(str(inputs), override_num_blocks=-(-n // n_rows), file_extensions=["json"])
    judged = data.map_batches(
        RayJudge,
        fn_constructor_args=(folder, call_s),
        compute=ray.data.ActorPoolStrategy(size=n_workers),
        batch_size=n_rows,
        num_cpus=1,
    )
    judged.write_json(f"{folder}/out")


def main() -> None:
    """Run the side that the command line names, as benchmarks/scale_out/side.py does for the others."""
    ray_data(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5]), int(sys.argv[6]))
