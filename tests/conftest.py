import gc
import itertools
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tests.openai_server import Server

gc.disable()  # until all is imported: what is imported stays, and a fifth of the time would go into looking at it again
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # there are as many processes as processors
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # the commands that tests start compile each module once, not each time
os.environ["HF_HUB_OFFLINE"] = "1"  # a test that reaches for the network is a broken test

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

settings.register_profile("same every time", derandomize=True)
settings.load_profile("same every time")

import console.process  # noqa: E402, F401  before torch is loaded
from tests.kept import keep_packages, keep_parsers, quick_pictures, quick_workers, short_configurations  # noqa: E402

keep_packages()
keep_parsers()
os.fsync = os.fstat  # type: ignore[assignment]  no test cuts the power, and a disk takes 5 ms for each of thousands

FOLDERS = itertools.count()
DATA = Path(os.environ.get("JUDGELOOP_DATA", ROOT.parent / "shared" / "data"))


LONGEST = (
    "test_loop.py",
    "test_instruction_following.py",
    "test_loop_judges.py",
    "test_launch.py",
    "test_rewarded_processes.py",
    "test_lora_trainers.py",
    "test_command.py",
    "test_grpo.py",
    "test_loop_variants.py",
    "test_loop_grpo.py",
    "test_shown_loop.py",
    "test_rejudging.py",
    "test_loop_lora.py",
    "test_memory_trainings.py",
    "test_alpaca_published.py",
    "test_screen.py",
    "test_rlp.py",
    "test_ppo.py",
    "test_resume.py",
)
"""The files that take longest, in that order: begun last, one of them would keep a single process busy at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    rank = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.name, len(rank)))


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name a case shortly whose text is long: the name goes between processes ten times, once a megabyte each."""
    if isinstance(val, str) and len(val) > 200:
        return f"{ascii(val[:40])[1:-1]} and {len(val) - 40} more"
    return None


_n_modules = 0


def freeze_modules() -> None:
    """Keep what libraries made on import out of the collector's sight: it has millions of objects to look at again.

    A command collects after each model that it lets go; with torch, transformers and TRL there that takes 0.3 s each.
    """
    global _n_modules
    if len(sys.modules) > _n_modules + 100:
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000)
        gc.enable()
        _n_modules = len(sys.modules)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    freeze_modules()
    quick_pictures()
    short_configurations()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call() -> None:
    freeze_modules()
    quick_pictures()
    short_configurations()


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real data, or skip."""
    if not DATA.exists():
        pytest.skip(f"no data at {DATA}; set JUDGELOOP_DATA")
    return DATA


@pytest.fixture
def tmp_path(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A folder of the test. pytest's own looks through those of all tests before for a free number."""
    name = re.sub(r"\W", "_", request.node.name)[:40]
    path = tmp_path_factory.getbasetemp() / f"{next(FOLDERS)}-{name}"
    path.mkdir()
    return path


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.tiny import save_tiny_model

    return save_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator["Server"]:
    """A local server that speaks OpenAI's protocol. A call that fails is made again at once."""
    from tests.openai_server import running

    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.0005)
    with running() as found:
        yield found


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Worker processes that are there at once."""
    quick_workers(monkeypatch)


@pytest.fixture
def wide_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Print every table whole, as on a very wide screen, so that a test can read its cells."""
    monkeypatch.setattr("console.table.WIDTH", 400)
