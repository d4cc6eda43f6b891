from pathlib import Path
from typing import Any

import torch

from engines.merging import load_model as load_merged
from evals.open_llm.harness import load_model
from tests.trainer.training.test_lora import sft


def test_lm_eval_gets_an_adapter_with_its_base(tiny_model: Path, tmp_path: Path) -> None:
    sft(tiny_model, tmp_path / "adapter", epochs=1)
    measured: Any = load_model(tmp_path / "adapter", batch_size=2)
    ids = torch.tensor([[1, 50, 60, 70, 2]])
    with torch.inference_mode():
        expected = load_merged(tmp_path / "adapter", torch.float32).eval()(ids).logits
        torch.testing.assert_close(measured.model.eval()(ids).logits, expected)
