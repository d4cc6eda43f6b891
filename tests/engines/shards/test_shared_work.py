import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from console.errors import EngineError, InputError, RowError
from engines.shards.claims import MOST_TRIES, Claim, Queue
from engines.shards.folder import Folder
from engines.shards.options import ScaleOptions, rows_a_shard
from engines.shards.plan import Item, Plan, manifest, planned, read_plan
from engines.shards.processes import run_processes
from engines.shards.rows import KINDS, Kind, read_part
from engines.shards.share import do_shards, fill_by_workers, folder_beside, shared_rows
from engines.shards.work import Job, work
from judges.judging.shards import judging
from records import Judgment, Response, Store, read_rows
from records.leftovers import process_lives
from tests.conftest import ROOT
from tests.engines.shards.jobs import (
    failing_judge,
    killing_job,
    logging_job,
    other_judge,
    responses,
    scripted_job,
    scripted_judge,
)

N, SHARD = 60, 8


def items(rows: list[Response]) -> list[Item[Response]]:
    judge = scripted_judge()
    return [Item(judge.judgment_id(row), row) for row in rows]


def plan_in(folder: Folder, job: Job[Response, Judgment], n: int = N, kind: str = "jsonl") -> Plan:
    return planned(folder, job.identity, f"{n} rows", lambda: items(responses(n)), SHARD, kind)  # type: ignore[arg-type]


def files_of(path: Path) -> dict[str, bytes]:
    """Return the finished parts and their lines of the manifest."""
    return {
        str(file.relative_to(path)): file.read_bytes() for name in ("parts", "done") for file in path.glob(f"{name}/*")
    }


def claims(folder: Folder) -> list[Claim]:
    found = (folder.read(name) for name in folder.names("claims").values())
    return [msgspec.json.decode(claim, type=Claim) for claim in found if claim]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a run that nothing interrupted."""
    return whole_run(tmp_path_factory.mktemp("whole"))


def whole_run(path: Path) -> dict[str, bytes]:
    folder, job = Folder(path), scripted_job()
    plan = plan_in(folder, job)
    work(folder, plan, job, Queue(folder, plan.keys, "alone"))
    return files_of(path)


def test_the_parts_in_the_plans_order_are_the_rows_of_one_process(tmp_path: Path) -> None:
    rows = []
    for kind in KINDS:
        folder, job = Folder(tmp_path / kind), scripted_job()
        plan = plan_in(folder, job, kind=kind)
        work(folder, plan, job, Queue(folder, plan.keys, "alone"))
        lines = manifest(folder, plan)
        assert [line.rows for line in lines] == [8] * 7 + [4] and not any(line.failed for line in lines)
        rows.append([row for line in lines for row in read_part(tmp_path / kind / line.part, Judgment, plan.kind)])
    assert rows[0] == rows[1] == rows[2] == list(scripted_judge().judge(responses(N)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_part_is_named_with_the_kind_of_its_rows(tmp_path: Path, kind: Kind) -> None:
    path = tmp_path / f"x.{kind}"
    path.write_bytes(b"damaged")
    with pytest.raises(RowError, match=f"x.{kind}: not a whole file of Judgment rows: .*; remove it to make it again"):
        list(read_part(path, Judgment, kind))


def test_an_object_store_gets_the_bytes_of_a_disk(whole: dict[str, bytes]) -> None:
    folder, job = Folder("memory://bucket/run"), scripted_job()
    plan = plan_in(folder, job)
    work(folder, plan, job, Queue(folder, plan.keys, "alone"))
    names = [*folder.names("parts").values(), *folder.names("done").values()]
    assert {name: folder.read(name) for name in names} == whole
    folder.remove_all()
    assert folder.names("parts") == {}


def test_processes_make_the_bytes_of_one_and_a_killed_worker_loses_no_row(
    tmp_path: Path, whole: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, job = Folder(tmp_path / "run"), killing_job(tmp_path / "once", after=3)
    plan = plan_in(folder, job)
    n_rows: list[int] = []
    run_processes(folder, plan, job, 2, n_rows.append)
    assert (tmp_path / "once").exists() and files_of(tmp_path / "run") == whole
    assert "ended, killed by SIGKILL: another one goes on" in capsys.readouterr().err
    # the two rows before the kill were stored, and were not told
    assert N - 3 <= sum(n_rows) <= N


def test_a_killed_command_takes_its_workers_along_and_the_same_command_goes_on(
    tmp_path: Path, whole: dict[str, bytes]
) -> None:
    path = tmp_path / "run"
    code = (
        "from engines.shards.folder import Folder; from engines.shards.processes import run_processes;"
        "from tests.engines.shards.jobs import scripted_job; from tests.engines.shards.test_shared_work import plan_in;"
        f"folder, job = Folder({str(path)!r}), scripted_job(0.03);"
        "run_processes(folder, plan_in(folder, job), job, 2, lambda _: None)"
    )
    command = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)})
    until = time.monotonic() + 60
    while not list(path.glob("done/*")) and time.monotonic() < until:
        time.sleep(0.01)
    command.send_signal(signal.SIGKILL)
    command.wait()
    workers = {claim.process for claim in claims(Folder(path))}
    while any(map(process_lives, workers)) and time.monotonic() < until:
        time.sleep(0.01)
    assert not any(map(process_lives, workers)) and 0 < len(list(path.glob("done/*"))) < 8
    folder, job = Folder(path), scripted_job()
    assert do_shards(folder, plan_in(folder, job), job, ScaleOptions(), "judging")
    assert files_of(path) == whole


def test_half_a_file_of_a_killed_worker_is_gone_once_all_is_done(tmp_path: Path) -> None:
    folder, job = Folder(tmp_path), scripted_job()
    plan = plan_in(folder, job)
    left = tmp_path / "parts" / ".x.jsonl.4999999.tmp"
    left.parent.mkdir()
    left.touch()
    assert do_shards(folder, plan, job, ScaleOptions(), "judging") and not left.exists()


@pytest.mark.parametrize(("n", "size"), [(1, 128), (805, 128), (10_000, 157), (1_000_000, 15_625), (10**8, 16_384)])
def test_a_file_is_work_for_many_workers_unless_it_is_short(n: int, size: int) -> None:
    assert rows_a_shard(ScaleOptions(workers=4), n) == size
    assert rows_a_shard(ScaleOptions(workers=4, shards="s3://bucket/run"), n) == 16_384
    assert rows_a_shard(ScaleOptions(shard_rows=50), n) == 50


@pytest.mark.usefixtures("workers")
def test_workers_without_a_shard_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Folder(str(tmp_path / "s"))
    plan = plan_in(folder, scripted_job(), n=2 * SHARD)
    assert do_shards(folder, plan, scripted_job(), ScaleOptions(workers=3, shards="s"), "judging")
    assert "judging: 2 of 3 workers have a shard each; a smaller --shard-rows makes more" in capsys.readouterr().err


@pytest.mark.usefixtures("workers")
def test_a_store_is_filled_in_shards_that_several_workers_can_take(tmp_path: Path) -> None:
    rows, log = responses(300), tmp_path / "log"
    log.mkdir()
    with Store(tmp_path / "judgments.jsonl", Judgment) as store:
        fill_by_workers(store, logging_job(log), lambda: items(rows), ScaleOptions(workers=2), "judging")
        assert list(store.known_ids()) == [item.id for item in items(rows)]
    assert sorted(int(path.name.split("-")[0]) for path in log.glob("*")) == [44, 128, 128]


@pytest.mark.usefixtures("workers")
def test_a_store_is_filled_in_the_order_of_the_input_and_its_own_rows_stay(tmp_path: Path) -> None:
    out, judge, job = tmp_path / "j.jsonl", scripted_judge(), scripted_job()
    options = ScaleOptions(workers=2, shard_rows=SHARD)
    with Store(out, Judgment) as store:
        for judgment in judge.judge(responses(N + 5)[40:]):  # five of them are beyond the rows that are asked for
            store.append(judgment)
        fill_by_workers(store, job, lambda: items(responses(N)), options, "judging")
        assert len(store.ids) == N + 5
    assert list(read_rows(out, Judgment)) == list(judge.judge(responses(N + 5)))
    assert not folder_beside(out).exists()


def test_a_store_goes_on_with_the_shards_of_a_command_that_was_stopped(tmp_path: Path) -> None:
    out, job = tmp_path / "j.jsonl", scripted_job()
    dies = Job(job.identity, Response, Judgment, job.is_done, partial(_interrupted_after, 20))
    rows = lambda: items(responses(N))  # noqa: E731
    with pytest.raises(KeyboardInterrupt), Store(out, Judgment) as store:
        fill_by_workers(store, dies, rows, ScaleOptions(shard_rows=SHARD), "judging")
    assert not out.exists() and len(list(folder_beside(out).glob("done/*"))) == 2
    asked = _counted(job)
    with Store(out, Judgment) as store:
        fill_by_workers(store, asked, rows, ScaleOptions(shard_rows=SHARD), "judging")
    assert list(read_rows(out, Judgment)) == list(scripted_judge().judge(responses(N)))
    assert COUNT == [N - 20]


def test_a_stopped_commands_rows_outlive_one_for_fewer_rows_and_other_shards(tmp_path: Path) -> None:
    out, job = tmp_path / "j.jsonl", scripted_job()
    dies = Job(job.identity, Response, Judgment, job.is_done, partial(_interrupted_after, 20))
    with pytest.raises(KeyboardInterrupt), Store(out, Judgment) as store:
        fill_by_workers(store, dies, lambda: items(responses(N)), ScaleOptions(shard_rows=SHARD), "judging")
    for n in (5, N):
        with Store(out, Judgment) as store:
            asked = _counted(job)
            fill_by_workers(store, asked, lambda n=n: items(responses(n)), ScaleOptions(shard_rows=7), "judging")  # type: ignore[misc]
            assert len(store.ids) == max(20, n)
    assert COUNT == [N - 20] and list(read_rows(out, Judgment)) == list(scripted_judge().judge(responses(N)))


COUNT: list[int] = []


def _counted(job: Job[Response, Judgment]) -> Job[Response, Judgment]:
    def opened() -> Any:
        identity, fill = job.open()
        COUNT[:] = [0]

        def counting(store: Store[Judgment], rows: Any) -> Any:
            for _ in fill(store, rows):
                COUNT[0] += 1
                yield

        return identity, counting

    return Job(job.identity, Response, Judgment, job.is_done, opened)


def _interrupted_after(n: int) -> Any:
    identity, fill = scripted_job().open()
    n_rows = 0

    def interrupted(store: Store[Judgment], rows: Any) -> Any:
        nonlocal n_rows
        for _ in fill(store, rows):
            n_rows += 1
            yield
            if n_rows == n:
                raise KeyboardInterrupt

    return identity, interrupted


def test_failed_rows_are_asked_for_again_by_the_next_command_and_the_others_are_not(tmp_path: Path) -> None:
    down, folder = tmp_path / "down", Folder(tmp_path / "run")
    down.touch()
    job = judging(failing_judge(down).fingerprint, partial(failing_judge, down))
    plan = plan_in(folder, job)
    assert do_shards(folder, plan, job, ScaleOptions(), "judging")
    n_failed = sum(line.failed for line in manifest(folder, plan))
    assert 0 < n_failed < N
    down.unlink()
    counted = _counted(job)
    assert do_shards(folder, plan, counted, ScaleOptions(), "judging") and [n_failed] == COUNT
    assert not any(line.failed for line in manifest(folder, plan))
    made = [
        row for line in manifest(folder, plan) for row in read_part(tmp_path / "run" / line.part, Judgment, "jsonl")
    ]
    assert [row.score for row in made] == [row.score for row in failing_judge(down).judge(responses(N))]


def test_a_shard_that_a_slow_worker_still_writes_is_done_by_another_with_the_same_bytes(
    tmp_path: Path, whole: dict[str, bytes]
) -> None:
    folder, job = Folder(tmp_path), scripted_job()
    plan = plan_in(folder, job)
    with Store(tmp_path / "work" / plan.keys[0] / "rows.jsonl", Judgment) as slow:
        work(folder, plan, job, Queue(folder, plan.keys, "thief"))
        assert files_of(tmp_path) == whole and slow.path.exists()


def test_a_machine_with_another_judge_is_refused_and_gives_its_shard_back(tmp_path: Path) -> None:
    folder, job = Folder(tmp_path), scripted_job()
    plan = plan_in(folder, job)
    other = judging(job.identity, other_judge)
    with pytest.raises(EngineError, match="the same flags give .* use the same version"):
        work(folder, plan, other, Queue(folder, plan.keys, "other"))
    assert [claim.at for claim in claims(folder) if claim.worker == "other"] == [0.0]
    work(folder, plan, job, Queue(folder, plan.keys, "right"))
    with pytest.raises(InputError, match="holds rows of another job"):
        planned(folder, other_judge().fingerprint, "60 rows", lambda: items(responses(N)), SHARD, "jsonl")


@pytest.mark.usefixtures("workers")
def test_workers_that_cannot_start_end_the_command_with_the_reason(tmp_path: Path) -> None:
    folder, job = Folder(tmp_path), scripted_job()
    plan = plan_in(folder, job)
    with pytest.raises(EngineError, match="the same flags give"):
        run_processes(folder, plan, judging(job.identity, other_judge), 2, lambda _: None)


@pytest.mark.usefixtures("workers")
def test_workers_that_are_killed_again_and_again_end_the_command(tmp_path: Path) -> None:
    folder, job = Folder(tmp_path / "run"), killing_job(tmp_path / "never" / "there", after=1)
    plan = plan_in(folder, job)
    with pytest.raises(EngineError, match="3 workers ended one after another, the last killed by SIGKILL"):
        run_processes(folder, plan, job, 1, lambda _: None)


def test_an_input_that_ends_all_who_cut_it_is_named_and_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed() -> list[Item[Response]]:
        raise MemoryError

    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("waits for a process that is gone"))
    folder = Folder(tmp_path)
    for _ in range(MOST_TRIES):
        with pytest.raises(MemoryError):
            planned(folder, "judge", "input", killed, SHARD, "jsonl")
    with pytest.raises(EngineError, match="8 processes ended while they cut the input"):
        planned(folder, "judge", "input", killed, SHARD, "jsonl")


def test_a_changed_input_keeps_the_shards_that_are_the_same(tmp_path: Path) -> None:
    folder, job = Folder(tmp_path), scripted_job()
    plan = plan_in(folder, job)
    longer = plan_in(folder, job, N + 8)
    assert longer.keys[:7] == plan.keys[:7] and len(longer.keys) == len(plan.keys) + 1
    assert read_plan(folder) == longer


def test_ray_is_asked_for_by_name_where_it_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "engines.shards.on_ray", raising=False)
    folder, job = Folder(tmp_path), scripted_job()
    with pytest.raises(EngineError, match=r"pip install 'judgeloop\[ray\]'"):
        do_shards(folder, plan_in(folder, job), job, ScaleOptions(workers=1, on="ray"), "judging")


def test_what_a_message_on_a_damaged_folder_advises_makes_it_whole_again(
    tmp_path: Path, whole: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, job = Folder(tmp_path / "run"), scripted_job()
    plan = plan_in(folder, job)
    assert do_shards(folder, plan, job, ScaleOptions(), "judging")
    part, plan_file = tmp_path / "run" / manifest(folder, plan)[3].part, tmp_path / "run" / "plan.json"
    part.write_bytes(b"damaged")
    with pytest.raises(RowError, match=f"{part}: .*; remove it to make it again"):
        list(shared_rows(folder, plan, Judgment))
    part.unlink()
    plan_file.write_bytes(b"{")
    with pytest.raises(InputError, match=f"{plan_file}: not a plan of shards: .*; remove it, and .* cuts the input"):
        plan_in(folder, job)
    plan_file.unlink()
    counted = _counted(job)
    assert do_shards(folder, plan_in(folder, job), counted, ScaleOptions(), "judging")
    assert COUNT == [SHARD] and files_of(tmp_path / "run") == whole
    assert "the files of 1 of 8 shards are gone, and are made again" in capsys.readouterr().err
