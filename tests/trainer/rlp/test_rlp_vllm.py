"""A run of reward learning on policy with its models in vLLM: run by `make test-vllm`."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from console.command import parse
from console.errors import InputError
from engines.reward_model import RewardModel
from judges.judging.reward_model import fingerprint_in
from records import Judgment, pair_of, read_rows
from records.runs import Run
from records.store import write_rows
from tests.tiny import save_tiny_model
from tests.trainer.rlp.little import FEW_ANSWERS
from trainer.rlp.__main__ import main
from trainer.rlp.recipe import Config

pytestmark = [pytest.mark.vllm, pytest.mark.filterwarnings("ignore")]

RECIPE = """
name = "tiny"
[engine]
model = "tiny"
engine = "vllm"
[seeds]
prompts = "prompts.jsonl"
ift = "ift.jsonl"
[sft]
batch_size = 2
[preferences]
file = "pairs.jsonl"
held_out_share = 0.25
[reward]
learning_rate = 3e-3
batch_size = 4
warmup_share = 0.0
[unlabelled]
prompts = 6
[ppo]
rollout_engine = "vllm"
rollout_batch_size = 4
step_batch_size = 4
response_length = 8
steps = 2
[samples]
n = 4
max_new_tokens = 8
[synthetic]
gamma = 0.25
[synthetic.relation]
equivalence = "exact"
[eval]
prompts = 4
max_new_tokens = 8
judged = false
"""


def test_the_rewards_of_a_run_on_vllm_are_those_of_transformers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
    save_tiny_model(tmp_path / "tiny", head_dim=32)
    Path("ift.jsonl").write_text(FEW_ANSWERS)
    Path("prompts.jsonl").write_text("".join(f'{{"prompt": "Write {n} words."}}\n' for n in range(20)))
    write_rows(Path("pairs.jsonl"), [pair_of(f"ask {n}", f"ask {n}", f"yes {n}", "no no") for n in range(16)])
    Path("tiny.toml").write_text(RECIPE)
    config = parse(Config, ["--config", "tiny.toml"], "rlp")
    main(config)
    run = Run(tmp_path / "runs" / "tiny")
    judged, folder = list(read_rows(run.iteration(3) / "judgments.jsonl", Judgment)), run.iteration(1) / "reward_model"
    expected = RewardModel.load(folder, "r").score([row.prompt for row in judged], [row.response for row in judged])
    assert len(judged) == 24 and len({row.score for row in judged}) > 12
    assert [row.score for row in judged] == pytest.approx(expected, abs=1e-3)
    lines = [json.loads(line) for line in run.ledger.read_text().splitlines()]
    assert {row.judge for row in judged} == {lines[1]["judge"]} == {fingerprint_in(folder, config.engine)}
    with pytest.raises(InputError, match="was made with other settings: engine.engine"):
        main(replace(config, engine=replace(config.engine, engine="transformers")))
