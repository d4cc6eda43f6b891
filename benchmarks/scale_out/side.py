"""Runs a side of this project until its work is done.

python -m benchmarks.scale_out.side SIDE FOLDER ROWS SECONDS_A_CALL ROWS_A_SHARD WORKERS

SIDE is processes or ray. What is done in FOLDER is kept, and the same command goes on.
"""

import sys

from benchmarks.scale_out.work import items, slow_job, slow_judge
from engines.shards.folder import Folder
from engines.shards.options import ScaleOptions
from engines.shards.plan import planned
from engines.shards.share import do_shards


def shards(side: str, folder: str, n: int, call_s: float, n_rows: int, n_workers: int) -> None:
    """Do the work in this project's shards."""
    place, judge, job = Folder(f"{folder}/shards"), slow_judge(folder, call_s), slow_job(folder, call_s)
    plan = planned(place, job.identity, str(n), lambda: items(judge, n), n_rows, "jsonl")
    do_shards(place, plan, job, ScaleOptions(workers=n_workers, on="ray" if side == "ray" else "processes"), side)


def main() -> None:
    """Run the side that the command line names."""
    if len(sys.argv) != 7:
        print(__doc__)
        sys.exit(0 if "--help" in sys.argv else 2)
    side, folder, (n, call_s, n_rows, n_workers) = sys.argv[1], sys.argv[2], sys.argv[3:]
    numbers = int(n), float(call_s), int(n_rows), int(n_workers)
    shards(side, folder, *numbers)


if __name__ == "__main__":
    main()
