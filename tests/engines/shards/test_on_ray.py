"""Runs where Ray is installed: python -m pytest tests/engines/shards/test_on_ray.py -m ''."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engines.shards.folder import Folder
from tests.conftest import ROOT
from tests.engines.shards.jobs import killing_job, scripted_job
from tests.engines.shards.test_shared_work import files_of, plan_in, whole_run

ray = pytest.importorskip("ray")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


WAIT_S = 120.0


def first_is_done(path: Path) -> None:
    until = time.monotonic() + WAIT_S
    while not list(path.glob("done/*")) and time.monotonic() < until:
        time.sleep(0.02)


@pytest.fixture
def cluster() -> Iterator[None]:
    ray.init(num_cpus=2, include_dashboard=False)
    yield
    ray.shutdown()


def test_actors_make_the_bytes_of_one_process_and_a_killed_one_loses_no_row(
    cluster: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from engines.shards.on_ray import run_ray

    folder, job = Folder(tmp_path / "run"), killing_job(tmp_path / "once", after=3)
    plan = plan_in(folder, job)
    n_rows: list[int] = []
    run_ray(folder, plan, job, 2, n_rows.append, 0)
    assert (tmp_path / "once").exists() and sum(n_rows) == plan.n
    assert files_of(tmp_path / "run") == whole_run(tmp_path / "whole")
    assert "was lost" in capsys.readouterr().err


def test_a_killed_driver_takes_its_node_along_and_the_same_command_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "run"
    code = (
        "from engines.shards.folder import Folder; from engines.shards.on_ray import run_ray;"
        "from tests.engines.shards.jobs import scripted_job; from tests.engines.shards.test_shared_work import plan_in;"
        f"folder, job = Folder({str(path)!r}), scripted_job(0.1);"
        "run_ray(folder, plan_in(folder, job), job, 2, lambda _: None, 0)"
    )
    command = subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT)})
    first_is_done(path)
    command.send_signal(signal.SIGKILL)
    command.wait()
    time.sleep(2)  # Ray's own processes notice
    assert 0 < len(list(path.glob("done/*"))) < 8
    from engines.shards.on_ray import run_ray

    folder, job = Folder(path), scripted_job()
    ray.init(num_cpus=2, include_dashboard=False)
    try:
        run_ray(folder, plan_in(folder, job), job, 2, lambda _: None, 0)
    finally:
        ray.shutdown()
    assert files_of(path) == whole_run(tmp_path / "whole")


def test_the_work_of_a_lost_node_is_done_by_another(tmp_path: Path) -> None:
    from ray.cluster_utils import Cluster

    from engines.shards.on_ray import run_ray

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    lost = nodes.add_node(num_cpus=1)
    ray.init(address=nodes.address)
    path = tmp_path / "run"

    def lose() -> None:
        first_is_done(path)
        nodes.remove_node(lost, allow_graceful=False)

    folder, job = Folder(path), scripted_job(0.2)
    killer = threading.Thread(target=lose)
    killer.start()
    try:
        run_ray(folder, plan_in(folder, job), job, 2, lambda _: None, 0)
        killer.join()
    finally:
        ray.shutdown()
        nodes.shutdown()
    assert files_of(path) == whole_run(tmp_path / "whole")
