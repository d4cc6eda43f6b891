"""A finished run, made once for the tests that begin with one."""

import shutil
from pathlib import Path

import pytest

from tests.trainer.loop.test_loop_variants import loop, write_recipe


@pytest.fixture(scope="session")
def made_once(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made_once")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        loop(write_recipe(folder, tiny_model))
    return folder


@pytest.fixture
def finished(made_once: Path, recipe: Path) -> Path:
    """The run that `loop(recipe)` makes: a copy, with the recipe of it in the place of the test's."""
    recipe.write_text((made_once / recipe.name).read_text())
    shutil.copytree(made_once / "runs", "runs", symlinks=True)
    return Path("runs/tiny")
