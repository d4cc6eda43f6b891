"""A model folder that is damaged is one line that names the file, before anything is loaded."""

from pathlib import Path

import pytest

from console.errors import InputError
from engines.models import checkpoint_dtype, resolve_model
from engines.reward_model import check_reward_model
from trainer.runs.integrity import model_flaw


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"\xff\xfe\x00junk", b"[" * 100_000, b"{", b"1" * 5000])
def test_a_damaged_config_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(InputError, match=r"config\.json: .* the model is damaged"):
        resolve_model(str(tmp_path), None)
    with pytest.raises(InputError, match="not a reward model"):
        check_reward_model(tmp_path)


@pytest.mark.parametrize("text", ['{"architectures": 1}', '{"architectures": [1]}', '{"id2label": [1]}', "{}"])
def test_a_config_of_another_form_is_no_reward_model(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(InputError, match="not a reward model"):
        check_reward_model(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"\xff" * 8 + b"abc",  # a header of 2**64 bytes
        b"\x05" + b"\0" * 7 + b"[1,2]",
        b"\x05" + b"\0" * 7 + b"junk!",
        b"\x07" + b"\0" * 7 + b'{"a":1}',
    ],
)
def test_damaged_weights_are_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(InputError, match=r"model\.safetensors: "):
        checkpoint_dtype(tmp_path)
    assert "model.safetensors" in (model_flaw(tmp_path) or "")
