import inspect
import re
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from trl import DPOTrainer, RewardTrainer, SFTTrainer
from trl.kernels import chunked_logprob
from trl.trainer import utils

from engines.merging import load_model
from trainer.training import trl_internals
from trainer.training.trl_internals import TRL_VERSION, ForwardSpy, lean_head


def how() -> tuple[object, ...]:
    return chunked_logprob.TOKEN_CHUNK_SIZE, utils._CHUNKED_LOGPROB_CHUNK_SIZE, utils._use_triton


def test_tiles_are_small_on_a_processor_while_a_training_runs_and_as_before_after_it() -> None:
    before = how()
    with pytest.raises(KeyError), lean_head("cpu"):
        assert how()[:2] == (trl_internals.TOKENS, trl_internals.WORDS)
        raise KeyError
    assert how() == before


def test_logits_are_computed_as_the_library_does_on_a_gpu() -> None:
    before = how()
    with lean_head("cuda"):
        assert how() == before


def test_log_probabilities_and_gradients_do_not_depend_on_the_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trl_internals, "TOKENS", 7)
    monkeypatch.setattr(trl_internals, "WORDS", 16)
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
    with lean_head("cpu"):
        found = step()
    torch.testing.assert_close(found[0], expected)
    for mine, theirs in zip(found, step(), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_only_tokens_with_a_loss_are_computed_on_a_processor_and_nothing_else_changes(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = load_model(tiny_model, torch.float32)
    utils.add_fused_lm_head(policy)
    ids, labels = torch.randint(5, 40, (2, 10)), torch.full((2, 10), -100)
    labels[0, 7:], labels[1, 4:6] = ids[0, 7:], ids[1, 4:6]
    n_computed: list[int] = []
    apply = chunked_logprob.ChunkedLogProbFunction.apply

    def counted(hidden: torch.Tensor, *rest: object) -> object:
        n_computed.append(len(hidden))
        return apply(hidden, *rest)

    monkeypatch.setattr(utils._ChunkedLogProbFunction, "apply", counted)

    def step() -> list[torch.Tensor]:
        policy.zero_grad()
        outputs = policy(input_ids=ids, labels=labels, fused_lm_head=True)
        outputs.loss.backward()
        gradients = [weight.grad.clone() for weight in policy.parameters() if weight.grad is not None]
        return [outputs.loss.detach(), outputs.log_probs.detach(), *gradients]

    with lean_head("cpu"):
        lean = step()
    for mine, theirs in zip(lean, step(), strict=True):
        torch.testing.assert_close(mine, theirs)
    assert n_computed == [5, 18]  # of two rows of nine tokens that have one after them


MOVED = "TRL has moved: read its loss code again, compare trainer/training/trl_internals.py, then set TRL_VERSION"


def test_trl_is_the_version_whose_loss_code_was_read() -> None:
    assert version("trl") == TRL_VERSION, MOVED


@pytest.mark.parametrize(
    ("method", "call"),
    [
        (DPOTrainer._compute_loss, "outputs = model(**model_kwargs, labels=labels, fused_lm_head=True)"),
        (SFTTrainer.compute_loss, "outputs = model(**inputs, fused_lm_head=True)\n                    per_token_loss"),
        (RewardTrainer.compute_loss, "outputs = model(**inputs)"),
    ],
)
def test_trls_losses_call_the_model_as_the_spy_expects(method: object, call: str) -> None:
    assert inspect.getsource(method).count(call) == 1, MOVED  # type: ignore[arg-type]


@pytest.mark.parametrize("method", [DPOTrainer._compute_loss, RewardTrainer.compute_loss])
def test_trls_losses_of_pairs_call_the_model_once_more_for_a_prediction_step_only(method: object) -> None:
    loss = inspect.getsource(method).split("if return_outputs")[0]  # type: ignore[arg-type]
    assert len(re.findall(r"(?<![\w.])model\(", loss)) == 1, MOVED


def test_a_spy_keeps_what_the_model_returns_and_shows_another_thing() -> None:
    spy = ForwardSpy(lambda x: x, forward=lambda x: x + 1, show=lambda outputs: -outputs)
    assert spy(x=1) == -2 and spy.outputs == 2


def test_a_spy_leaves_the_call_for_a_prediction_to_the_model() -> None:
    spy = ForwardSpy(lambda x: x, forward=lambda x: x + 1)
    assert spy(x=1) == 2 and spy(x=5) == 5 and spy.outputs == 2


def test_a_spy_that_was_not_called_says_so() -> None:
    with pytest.raises(RuntimeError, match="did not call the model"):
        _ = ForwardSpy(lambda x: x).outputs
