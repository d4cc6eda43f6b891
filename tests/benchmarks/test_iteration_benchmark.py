"""The side of this project in benchmarks.iteration: all of its answers are equally long."""

from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer

from benchmarks.iteration.project import forbid_the_end
from engines.local import decoding, transformers_engine
from engines.protocol import Request, Sampling


def test_no_answer_ends_before_its_last_token(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    end = AutoTokenizer.from_pretrained(tiny_model).eos_token_id
    usual = decoding.draw

    def eager(logits_BV: torch.Tensor, *rest: object) -> torch.Tensor:
        """Draw the end unless that is forbidden."""
        drawn = usual(logits_BV, *rest)  # type: ignore[arg-type]
        return torch.where(logits_BV[:, end].isinf(), drawn, end)

    monkeypatch.setattr(decoding, "draw", eager)
    engine = transformers_engine.TransformersEngine.load(tiny_model, "tiny", 4)
    requests = [Request([{"role": "user", "content": "say it"}], seed=seed) for seed in range(3)]
    assert {len(reply.text) for reply in engine.generate(requests, Sampling(5))} == {0}
    forbid_the_end(tiny_model)
    assert {reply.n_tokens for reply in engine.generate(requests, Sampling(5))} == {5}
