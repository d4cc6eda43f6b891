"""A training step of SmolLM2-135M with and without memory that is kept when a tensor dies (console/process.py).

python -m benchmarks.training.freed_memory

Each turn is a process of its own, the two sides alternate, and the medians of the turns are printed.
"""

import subprocess
import sys
import time
from statistics import median

import torch

import console.process
from console.table import print_table
from engines.models import packaged_model

ROWS, TOKENS, STEPS, TURNS = 4, 100, 8, 3
SIDES = ("given back", "kept")


def main() -> None:
    seconds: dict[str, list[float]] = {side: [] for side in SIDES}
    for _ in range(TURNS):
        for side in SIDES:
            command = [sys.executable, "-m", "benchmarks.training.freed_memory", side]
            seconds[side].append(float(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))
    given_back, kept = (median(seconds[side]) for side in SIDES)
    print_table([{"given back, s": given_back, "kept, s": kept, "ratio": given_back / kept}])


def step_seconds(side: str) -> float:
    """Return the median seconds of a step after the first ones, which fill the optimiser's moments."""
    if side == "given back":
        console.process.keep_freed_memory = lambda: False
    from trainer.training.fit import load_policy  # here, because engines.merging takes the function when it is imported

    model, _ = load_policy(packaged_model())
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=1e-6, fused=True)
    ids = torch.randint(100, 40_000, (ROWS, TOKENS))
    seconds = []
    for _ in range(STEPS):
        started = time.perf_counter()
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.perf_counter() - started)
    return median(seconds[2:])


if __name__ == "__main__":
    if len(sys.argv) == 2 and sys.argv[1] in SIDES:
        print(step_seconds(sys.argv[1]))
    else:
        from benchmarks.side import arguments

        arguments(__doc__)
        main()
