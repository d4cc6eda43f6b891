import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Event

import msgspec
import pytest

from console.command import parse
from console.errors import InputError, JudgeError
from engines.shards.folder import Folder
from engines.shards.forecast import forecast
from engines.shards.inputs import url_of
from engines.shards.options import ScaleOptions
from engines.shards.plan import manifest, read_plan
from engines.shards.rows import write_part
from engines.shards.share import shared_rows
from judges.judging.cost import Price, cost_of
from judges.score import __main__ as score
from records import Judgment, Usage, read_rows
from records.files import BadRows
from records.shapes import located_responses
from tests.conftest import ROOT
from tests.openai_server import Body, Server, completion


@pytest.fixture
def answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "answers.jsonl"
    rows = [{"prompt": f"Q{n}", "response": "A" * (n % 9 + 1), "model": f"m{n % 2}"} for n in range(40)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def run(server: Server, answers: Path, *arguments: str) -> None:
    flags = ["--model", "m", "--base-url", server.url, "--read", "text", "--samples", "1"]
    score.main(parse(score.Config, [str(answers), *flags, *arguments], "prog"))


def scored(body: Body) -> tuple[int, Body]:
    return completion(f"Score: {len(body['messages'][0]['content']) % 6}")


def rows_in(path: str) -> list[Judgment]:
    """Return the rows in order, without the time that they took."""
    rows = read_rows(Path(path), Judgment)
    replace = msgspec.structs.replace
    return [replace(row, usage=replace(row.usage, seconds=0.0)) for row in rows]


@pytest.mark.usefixtures("workers")
def test_workers_write_the_rows_and_the_table_of_one_process(
    server: Server, answers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answer = scored
    run(server, answers, "--out", "one.jsonl")
    table = capsys.readouterr().out
    run(server, answers, "--out", "two.jsonl", "--workers", "2", "--shard-rows", "8")
    assert capsys.readouterr().out.split("judged by")[0] == table.split("judged by")[0]
    two = rows_in("two.jsonl")
    assert sorted(rows_in("one.jsonl"), key=two.index) == two
    assert [row.prompt for row in two] == [f"Q{n}" for n in range(40)]
    assert len(server.asked) == 80 and not Path("two.jsonl.shards").exists()


@pytest.mark.usefixtures("workers")
def test_a_setting_that_the_server_refuses_is_learned_from_a_worker(server: Server, answers: Path) -> None:
    def answer(body: Body) -> tuple[int, Body]:
        if "top_p" in body:
            return 400, {
                "error": {
                    "message": "Unsupported parameter: 'top_p'",
                    "param": "top_p",
                    "code": "unsupported_parameter",
                }
            }
        return scored(body)

    server.answer = answer
    run(server, answers, "--workers", "1", "--shard-rows", "8", "--out", "j.jsonl")
    assert len(rows_in("j.jsonl")) == 40 and all(row.score is not None for row in rows_in("j.jsonl"))


def test_what_stopped_workers_left_is_kept_and_the_rest_stays_within_the_budget(server: Server, answers: Path) -> None:
    server.answer = scored
    run(server, answers, "--out", "one.jsonl")
    Path("two.jsonl.shards/parts").mkdir(parents=True)
    write_part(Path("two.jsonl.shards/parts/x.jsonl.zst"), rows_in("one.jsonl")[:8], Judgment, "jsonl.zst")
    with pytest.raises(JudgeError, match="stopped at the budget: 8 of 40 done"):
        run(server, answers, "--out", "two.jsonl", "--max-tokens-total", "80")
    assert len(server.asked) == 40 and rows_in("two.jsonl") == rows_in("one.jsonl")[:8]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workers", "2", "--judge", "m", "--judge", "n"], "a panel"),
        (["--workers", "2", "--tool", "arithmetic"], "--corpus"),
        (["--workers", "2", "--max-tokens-total", "9"], "--max-cost"),
        (["--shards", "s", "--out", "j.jsonl"], "leave out --out"),
        (["--dry-run", "--scale", "--judge", "m", "--judge", "n"], "leave it out, or a panel"),
        (["--dry-run", "--scale", "--tool", "arithmetic"], "leave it out, or --corpus"),
    ],
)
def test_what_one_process_does_is_refused_before_anything_is_read(
    server: Server, answers: Path, arguments: list[str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        run(server, answers, *arguments)
    assert server.asked == []


def judged(shards: str) -> list[tuple[str, float | None]]:
    folder = Folder(shards)
    plan = read_plan(folder)
    assert plan is not None
    return [(str(row.prompt), row.score) for _, row in shared_rows(folder, plan, Judgment)]


@pytest.fixture
def whole(server: Server, answers: Path) -> list[tuple[str, float | None]]:
    """The scores in the order of the input, as one process makes them."""
    server.answer = scored
    run(server, answers, "--out", "one.jsonl")
    found = [(str(row.prompt), row.score) for row in rows_in("one.jsonl")]
    return sorted(found, key=lambda pair: int(pair[0][1:]))


def test_the_machine_without_a_number_prints_the_table_of_what_all_made(
    server: Server, answers: Path, whole: list[tuple[str, float | None]], capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    run(server, answers, "--shards", "s", "--shard-rows", "8", "--shard", "1/3")
    assert capsys.readouterr().out == "" and judged("s") == whole
    n_calls = len(server.asked)
    run(server, answers, "--shards", "s", "--shard-rows", "8", "--dry-run")
    assert "5 of 5 shards are done, 40 rows in all, 0 of them failed" in capsys.readouterr().out
    run(server, answers, "--shards", "s", "--shard-rows", "8")
    assert "| m0 " in capsys.readouterr().out and len(server.asked) == n_calls
    assert len(Path("s/manifest.jsonl").read_text().splitlines()) == 5


def test_tasks_of_an_array_share_the_shards_and_a_killed_one_leaves_nothing_undone(
    server: Server, answers: Path, whole: list[tuple[str, float | None]]
) -> None:
    killed = Event()

    def held_from_the_first_shard_on(body: Body) -> tuple[int, Body]:
        time.sleep(0.02)
        if list(Path().glob("s/done/*")):
            killed.wait(60)
        return scored(body)

    def all_answered_are_stored() -> bool:
        if server.under_way < 2:
            return False
        open_rows = sum(len(path.read_text().splitlines()) for path in Path("s").glob("work/*/rows.jsonl"))
        stored = 4 * len(list(Path().glob("s/done/*"))) + open_rows
        return stored == len(server.asked) - len(whole) - 2

    server.answer = held_from_the_first_shard_on
    flags = ["--model", "m", "--base-url", server.url, "--read", "text", "--samples", "1", "--concurrency", "1"]
    shared = ["--shards", "s", "--shard-rows", "4"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "SLURM_ARRAY_TASK_COUNT": "2"}

    def task(number: int) -> subprocess.Popen[bytes]:
        place = f"--shard {number}/$SLURM_ARRAY_TASK_COUNT"
        command = f"exec {sys.executable} -m judges.score {answers} {' '.join([*flags, *shared])} {place}"
        return subprocess.Popen(command, shell=True, env=environment)

    tasks = [task(0), task(1)]
    until = time.monotonic() + 60
    while not all_answered_are_stored() and time.monotonic() < until:
        time.sleep(0.01)
    tasks[1].send_signal(signal.SIGKILL)
    # the killed one first: until then it is a process of this one, and the other task takes it for living
    ended = tasks[1].wait()
    killed.set()
    assert (ended, tasks[0].wait(60)) == (-signal.SIGKILL, 0)
    run(server, answers, *shared)
    assert judged("s") == whole
    # one call was under way when its task was killed
    assert len(server.asked) - len(whole) == 41


def test_a_folder_of_packed_files_is_one_input_and_an_object_store_takes_its_shards(
    server: Server, answers: Path, whole: list[tuple[str, float | None]]
) -> None:
    rows = [response for _, response in located_responses(answers, BadRows(strict=True))]
    Path("many").mkdir()
    write_part(Path("many/a.jsonl"), rows[:15], type(rows[0]), "jsonl")
    write_part(Path("many/b.jsonl.zst"), rows[10:], type(rows[0]), "jsonl.zst")
    run(server, Path("many"), "--shards", "memory://scored", "--shard-rows", "16", "--shard-kind", "parquet")
    assert judged("memory://scored") == whole
    Folder("memory://scored").remove_all()


def test_an_edited_input_is_cut_again_and_only_its_new_shards_are_judged(server: Server, answers: Path) -> None:
    server.answer = scored
    run(server, answers, "--shards", "s", "--shard-rows", "8")
    with answers.open("a") as file:
        file.write('{"prompt": "Q40", "response": "A", "model": "m0"}\n')
    run(server, answers, "--shards", "s", "--shard-rows", "8")
    plan = read_plan(Folder("s"))
    assert plan is not None and [line.rows for line in manifest(Folder("s"), plan)] == [8] * 5 + [1]
    assert len(server.asked) == 41


def test_inputs_that_are_not_there_are_named(server: Server, answers: Path) -> None:
    Path("empty").mkdir()
    for file, message in (
        ("nothing.jsonl", "no such file"),
        ("empty", "no file is in"),
        ("memory://x/*", "no such file"),
    ):
        with pytest.raises(InputError, match=message):
            run(server, Path(file), "--shards", "s")
    assert url_of(Path("s3://bucket/a.jsonl")) == "s3://bucket/a.jsonl" and url_of("a/b.jsonl") is None


def test_a_plan_for_many_rows_multiplies_what_the_rows_so_far_took(
    server: Server, answers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answer = scored
    flags = ["--out", "j.jsonl", "--workers", "8", "--concurrency", "4", "--worker-price", "2", "--dry-run", "--scale"]
    with pytest.raises(InputError, match="nothing is measured yet"):
        run(server, answers, *flags)
    with pytest.raises(InputError, match="give --dry-run too"):
        run(server, answers, "--scale")
    run(server, answers, "--out", "j.jsonl", "--limit", "20")
    capsys.readouterr()
    run(server, answers, *flags, "--json")
    seconds = sum(row.usage.seconds for row in read_rows(Path("j.jsonl"), Judgment))
    here, million, many = json.loads(capsys.readouterr().out)
    assert (here["rows"], million["rows"], many["rows"]) == (40, 10**6, 10**8)
    assert here["tokens read"] == 40 * 7 and million["written"] == 3 * 10**6 and many["shards"] == 6104
    assert million["worker-hours"] == pytest.approx(seconds / 20 / 4 / 3600 * 10**6)
    assert million["hours, 8 workers"] == pytest.approx(million["worker-hours"] / 8)
    assert million["dollars"] == pytest.approx(2 * million["worker-hours"])
    with pytest.raises(InputError, match="nothing is measured yet"):  # the rows are another judge's
        run(server, answers, *flags, "--temperature", "0.3")


def test_the_price_of_many_rows_counts_cached_tokens_as_the_sample_had_them() -> None:
    made, price = [Usage(n_prompt_tokens=100, n_cached_tokens=80, n_tokens=10, seconds=1.0)], Price(2.0, 8.0, 0.5)
    here, million, _ = forecast(1, made, ScaleOptions(), at_once=1, price=lambda usage: cost_of(usage, price))
    assert here["dollars"] == pytest.approx(cost_of(made[0], price))
    assert million["dollars"] == pytest.approx(20 * 2 + 80 * 0.5 + 10 * 8)
