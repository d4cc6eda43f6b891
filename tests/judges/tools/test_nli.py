from pathlib import Path

import pytest

import engines.classifier
from console.errors import EngineError, InputError
from engines.classifier import Checkpoint, find_classifier, load_classifier
from tests.judges.cluster.tiny_classifier import MAX_POSITIONS, MNLI, save_tiny_classifier


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_classifier(tmp_path_factory.mktemp("nli"))


def emptied_of_weights(folder: Path, copy: Path) -> Path:
    for path in folder.iterdir():
        if path.suffix != ".safetensors":
            (copy / path.name).write_bytes(path.read_bytes())
    return copy


def test_each_pair_has_the_probabilities_and_tokens_that_it_has_alone(folder: Path) -> None:
    import torch

    pairs = [("a", "bcdef"), ("abc def ghi", "x"), ("m", "n"), ("a?", "abcdefgh"), ("z.", "zz")]
    classifier = load_classifier(find_classifier(str(folder)), batch_size=2)
    found = list(classifier.probabilities(pairs))
    assert sorted(index for index, _, _ in found) == [0, 1, 2, 3, 4]
    assert [index for index, _, _ in found[:2]] == [1, 3]  # the longest two together, and first
    for index, probabilities, n_tokens in found:
        inputs = classifier.tokenizer(*pairs[index], return_tensors="pt")
        with torch.inference_mode():
            expected = classifier.model(**inputs).logits.softmax(-1)[0].tolist()
        assert probabilities == pytest.approx(expected, abs=1e-5)
        assert n_tokens == inputs["input_ids"].shape[1]


def test_no_more_is_read_than_asked_or_than_the_model_can(folder: Path) -> None:
    checkpoint = find_classifier(str(folder))
    lengths = {limit: load_classifier(checkpoint, 8, limit).max_length for limit in (None, 20, 512)}
    assert lengths == {None: MAX_POSITIONS, 20: 20, 512: MAX_POSITIONS}
    short = load_classifier(checkpoint, 8, 20)
    [(_, _, n_tokens)] = short.probabilities([("a" * 40, "b" * 40)])
    assert n_tokens == 20 and short.max_tokens == 17


def test_the_labels_are_the_configs_and_the_digest_is_that_of_the_weights(folder: Path, tmp_path: Path) -> None:
    found = find_classifier(str(folder))
    assert found.labels == MNLI
    other = emptied_of_weights(folder, tmp_path)
    (other / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    assert find_classifier(str(other)).digest == found.digest
    (other / "model.safetensors").write_bytes(b"other weights")
    assert find_classifier(str(other)).digest != found.digest


def test_of_a_hub_model_the_config_is_fetched_and_the_commit_identifies_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = tmp_path / "0123abc"
    snapshot.mkdir()
    (snapshot / "config.json").write_bytes((folder / "config.json").read_bytes())
    fetched: list[tuple[str, list[str]]] = []

    def fetch(name: str, patterns: list[str], otherwise: str) -> Path:
        fetched.append((name, patterns))
        return snapshot

    monkeypatch.setattr(engines.classifier, "from_hub", fetch)
    assert find_classifier("some/model") == Checkpoint("some/model", MNLI, "0123abc")
    assert fetched == [("some/model", ["config.json"])]


def test_a_model_that_is_nowhere_is_named() -> None:
    with pytest.raises(InputError, match="no NLI model 'no/such': not a folder, "):
        find_classifier("no/such")


def test_a_folder_without_a_config_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"{tmp_path}: not an NLI model: its config cannot be read: ") as caught:
        find_classifier(str(tmp_path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("weights", [{"pytorch_model.bin": b"a pickle"}, {"model.safetensors": b"cut off"}])
def test_weights_that_are_a_pickle_or_broken_are_an_error_of_one_line(
    folder: Path, tmp_path: Path, weights: dict[str, bytes]
) -> None:
    broken = emptied_of_weights(folder, tmp_path)
    for name, content in weights.items():
        (broken / name).write_bytes(content)
    checkpoint = find_classifier(str(broken))
    with pytest.raises(EngineError, match="the NLI model cannot be loaded .safetensors only.: ") as caught:
        load_classifier(checkpoint, 8)
    assert str(caught.value).startswith(f"{broken}: ") and "\n" not in str(caught.value)
