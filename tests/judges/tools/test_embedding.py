import zipfile
from pathlib import Path

import pytest

from console.errors import InputError
from engines import encoder as embedding


@pytest.fixture
def packaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JUDGELOOP_CACHE", str(tmp_path / "cache"))
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
        archive.writestr("modules.json", "[]")
        archive.writestr("model.safetensors", "weights")
        archive.writestr("1_Pooling/config.json", "{}")
    monkeypatch.setattr(embedding, "_packaged_zip", lambda: tmp_path / "model.zip")
    return tmp_path / "cache" / "all-minilm-l6-v2"


def test_the_packaged_encoder_is_unpacked_once(packaged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert embedding.resolve_encoder("minilm") == packaged
    assert (packaged / "1_Pooling" / "config.json").exists() and "once" in capsys.readouterr().err
    assert embedding.resolve_encoder("minilm") == packaged and capsys.readouterr().err == ""
    assert [path.name for path in packaged.parent.iterdir()] == [packaged.name]


@pytest.mark.parametrize(
    "name",
    [
        "1_Pooling/config.json", "1_Pooling/tokenizer_config.json", "tokenizer_config.json", "vocab.txt",
        "special_tokens_map.json", "sentence_bert_config.json", "config_sentence_transformers.json",
    ],
)  # fmt: skip
def test_the_digest_follows_the_weights_tokenizer_and_settings(packaged: Path, name: str) -> None:
    folder = embedding.packaged_encoder()
    before = embedding.encoder_digest(folder)
    (folder / name).write_text('{"pooling_mode_max_tokens": true}')
    assert embedding.encoder_digest(folder) != before


def test_a_folder_that_holds_no_encoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a sentence encoder"):
        embedding.resolve_encoder(str(tmp_path))


def test_an_encoder_that_is_nowhere_says_where_it_was_looked_for() -> None:
    with pytest.raises(InputError, match="no sentence encoder 'no/such/encoder/here': not a folder, not minilm"):
        embedding.resolve_encoder("no/such/encoder/here")


@pytest.mark.slow
def test_the_packaged_encoder_puts_like_sentences_close() -> None:
    encoder = embedding.load_encoder()
    a, b, c = encoder.encode(["A cat sits.", "A cat is sitting.", "Shares fell."], normalize_embeddings=True)
    assert a @ b > 0.9 > 0.3 > a @ c
