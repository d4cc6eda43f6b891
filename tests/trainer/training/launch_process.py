"""Runs training commands in several forked processes that know of each other; tests.forks starts it.

python -m tests.trainer.training.launch_process PLAN.json

The plan is a list of {"name", "module", "argv", "processes", "sharded"}, and "killed_at", after how many steps all are
killed. As a launcher does, it ends the other
processes when one has failed. Beside the plan, NAME.RANK.out and NAME.RANK.err have what each process printed, and
statuses.json the exit codes.
"""

import json
import os
import signal
import socket
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.kept import quick_pictures, short_configurations

TRAININGS = {"trainer.ift.train": "trainer.ift.trainer", "trainer.ppo.train": "trainer.ppo.run"}
"""The module of a training, if it is not called after its command."""


def main() -> None:
    plan = Path(sys.argv[1])
    jobs = json.loads(plan.read_text())
    trainings = [job["module"].replace("__main__", "train") for job in jobs]
    for name in (*(TRAININGS.get(name, name) for name in trainings), *(job["module"] for job in jobs)):
        import_module(name)
    quick_pictures()
    short_configurations()
    statuses = {job["name"]: _run_all(plan.parent, job) for job in jobs}
    (plan.parent / "statuses.json").write_text(json.dumps(statuses))


def _run_all(folder: Path, job: dict[str, Any]) -> list[int]:
    port = _free_port()
    ranks = {_forked(folder, job, rank, port): rank for rank in range(job["processes"])}
    statuses = [0] * len(ranks)
    running = set(ranks)
    while running:
        pid, status = os.wait()
        running.discard(pid)
        statuses[ranks[pid]] = os.waitstatus_to_exitcode(status)
        if statuses[ranks[pid]]:
            for other in running:
                os.kill(other, signal.SIGTERM)
    return statuses


def _forked(folder: Path, job: dict[str, Any], rank: int, port: int) -> int:
    child = os.fork()
    if child:
        return child
    sys.stdout = (folder / f"{job['name']}.{rank}.out").open("w", buffering=1)
    sys.stderr = (folder / f"{job['name']}.{rank}.err").open("w", buffering=1)
    status = 1
    try:
        if job["processes"] > 1:
            os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(job["processes"])}
            os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        if job["sharded"]:
            _shard_on_processors()
        if job.get("killed_at"):
            _die_in_ppo(job["killed_at"]) if "ppo" in job["module"] else _die_at(job["killed_at"])
        _command(job)
    except SystemExit as end:
        status = int(end.code or 0)
    finally:
        os._exit(status)


def _command(job: dict[str, Any]) -> None:
    from console.command import run

    module = import_module(job["module"])
    sys.argv = [job["module"], *job["argv"]]
    run(module.Config, module.main, job["module"])


def _die_at(step: int) -> None:
    """Let the process be killed as the step after `step` begins."""
    import torch

    from trainer.training.watch import Watch

    def killed(self: Any, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == step:
            torch.distributed.barrier()  # or the first process is ended while it saves
            os.kill(os.getpid(), signal.SIGKILL)

    Watch.on_step_begin = killed  # type: ignore[method-assign]


def _die_in_ppo(step: int) -> None:
    """Let the process be killed as PPO begins to learn from the answers after `step`, whose state is saved by then."""
    from trainer.ppo.trainer import _Trainer

    learn = _Trainer._learn

    def killed(self: Any, answers: Any, number: int, rate: float) -> Any:
        if number == step + 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return learn(self, answers, number, rate)

    _Trainer._learn = killed  # type: ignore[method-assign]


def _shard_on_processors() -> None:
    """Let accelerate shard where there is no GPU: it only takes this way on one, though torch can on both."""
    import torch
    from accelerate.state import PartialState
    from accelerate.utils import DistributedType

    os.environ |= {
        "ACCELERATE_USE_FSDP": "true",
        "ACCELERATE_TORCH_DEVICE": "cpu",
        "FSDP_VERSION": "2",
        "FSDP_STATE_DICT_TYPE": "FULL_STATE_DICT",
        "FSDP_CPU_RAM_EFFICIENT_LOADING": "true",
        "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
    }
    torch.distributed.init_process_group("gloo")
    PartialState._prepare_backend = lambda *_, **__: ("gloo", DistributedType.MULTI_GPU)


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port: int = server.getsockname()[1]
    return port


if __name__ == "__main__":
    main()
