import pytest
import torch
from trl.kernels import chunked_logprob
from trl.trainer import utils

from trainer.training import tiles
from trainer.training.tiles import small_tiles


def sizes() -> tuple[int, int]:
    return chunked_logprob.TOKEN_CHUNK_SIZE, utils._CHUNKED_LOGPROB_CHUNK_SIZE


def test_tiles_are_small_on_a_processor_while_a_training_runs_and_as_before_after_it() -> None:
    before = sizes()
    with pytest.raises(KeyError), small_tiles("cpu"):
        assert sizes() == (tiles.TOKENS, tiles.WORDS)
        raise KeyError
    assert sizes() == before


def test_tiles_are_the_librarys_on_a_gpu() -> None:
    before = sizes()
    with small_tiles("cuda"):
        assert sizes() == before


def test_log_probabilities_and_gradients_do_not_depend_on_the_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "TOKENS", 7)
    monkeypatch.setattr(tiles, "WORDS", 16)
    torch.manual_seed(0)
    hidden, weight, targets = torch.randn(20, 8), torch.randn(50, 8), torch.randint(0, 50, (20,))

    def step() -> list[torch.Tensor]:
        inputs = [hidden.clone().requires_grad_(), weight.clone().requires_grad_()]
        logprobs = chunked_logprob.ChunkedLogProbFunction.apply(
            *inputs, None, targets, 1.0, utils._CHUNKED_LOGPROB_CHUNK_SIZE, None, 1.0, ()
        )[0]
        logprobs.sum().backward()
        return [logprobs.detach(), *(one.grad for one in inputs if one.grad is not None)]

    expected = torch.log_softmax(hidden @ weight.T, -1).gather(1, targets[:, None])[:, 0]
    with small_tiles("cpu"):
        found = step()
    torch.testing.assert_close(found[0], expected)
    for mine, theirs in zip(found, step(), strict=True):
        torch.testing.assert_close(mine, theirs)
