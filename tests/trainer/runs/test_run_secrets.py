"""What a run writes down about itself has no secrets."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from console.command import Flags
from console.errors import InputError
from engines.options import EngineOptions
from judges.options import JudgeOptions, PanelOptions
from judges.panels.panel import members
from records.runs import Run
from trainer.runs.ledger import claim_run

KEY = "sk-verysecret"


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    engine: EngineOptions = field(default_factory=EngineOptions)
    judges: tuple[str, ...] = ()


@pytest.mark.parametrize("address", ["http://ann:{}@host:8000/v1", "https://host/v1?api-version=1&key={}"])
def test_run_toml_has_no_key_and_a_run_goes_on_with_a_new_one(tmp_path: Path, address: str) -> None:
    run = Run(tmp_path / "run")
    engine = EngineOptions("m", base_url=address.format(KEY))
    config = Config(engine=engine, judges=(f"m@{address.format(KEY)}",))
    claim_run(run, config)
    written = run.config.read_text(encoding="utf-8")
    assert KEY not in written and "host" in written
    claim_run(run, config)
    other = replace(engine, base_url=address.format("sk-newsecret"), timeout_s=5.0, max_failures_in_row=3)
    claim_run(run, replace(config, engine=other))
    run.config.write_text(written.replace("***", KEY), encoding="utf-8")  # as an earlier version wrote it
    with pytest.raises(InputError, match="was made with other settings") as caught:
        claim_run(run, replace(config, engine=replace(engine, base_url="http://elsewhere/v1")))
    assert KEY not in str(caught.value)


def test_a_panel_names_its_judges_without_their_keys() -> None:
    judge = f"m@http://ann:{KEY}@host/v1"
    with pytest.raises(InputError, match="the panel has the same judge already") as caught:
        members(PanelOptions(judge=(judge, judge)), EngineOptions(), JudgeOptions())
    assert KEY not in str(caught.value)
