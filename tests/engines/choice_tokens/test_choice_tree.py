from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from engines.choice_tokens.tree import MOST_IDS, ChoiceTree
from engines.local.transformers_engine import TransformersEngine
from engines.protocol import Request

ASKED = [Request([{"role": "user", "content": text}], prefill="Score: ") for text in ("a", "b and c")]


@pytest.mark.parametrize(
    "choices", [["1", "2"], [str(n) for n in range(1, 11)], ["1", "10", "100", "2"], ["A>>B", "A>B", "A=B", "tie"]]
)
def test_answers_to_its_questions_give_the_choices_logprobs(tiny_model: Path, choices: Sequence[str]) -> None:
    from transformers import AutoModelForCausalLM

    plain = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32).eval()
    engine = TransformersEngine.load(tiny_model, "tiny")
    expected = {choice.index: choice.logprobs for choice in engine.choose(ASKED, choices)}
    n_prompt = len(engine._encode(ASKED[:1], "")[0])
    tree = ChoiceTree([tuple(engine._encode(ASKED[:1], choice)[0][n_prompt:]) for choice in choices])
    found = {}
    # The rows' answers come mixed, as vLLM finishes them.
    for number, question in enumerate(tree.questions):
        for row, prompt in enumerate(engine._encode(ASKED, "")):
            with torch.inference_mode():
                logits = plain(torch.tensor([prompt + list(question.node)])).logits[0, -1]
            logprobs = dict(enumerate(logits.log_softmax(-1).tolist()))
            complete = tree.add(row, number, logprobs, 0.5)
            assert (complete is not None) == (number == len(tree.questions) - 1)
            if complete:
                found[row], seconds = complete
                assert seconds == 0.5 * len(tree.questions)
    assert found[0] == pytest.approx(expected[0], abs=1e-4) and found[1] == pytest.approx(expected[1], abs=1e-4)


def test_choices_of_one_token_are_one_question_a_row() -> None:
    [question] = ChoiceTree([(3,), (1,), (2,)]).questions
    assert (question.node, question.ids) == ((), (1, 2, 3))


def test_more_tokens_than_one_request_takes_are_asked_in_several() -> None:
    tree = ChoiceTree([(n,) for n in range(MOST_IDS + 1)])
    assert [len(question.ids) for question in tree.questions] == [MOST_IDS, 1]
    assert tree.add(0, 1, {MOST_IDS: -1.0}, 0.0) is None
    complete = tree.add(0, 0, dict.fromkeys(range(MOST_IDS), -2.0), 0.0)
    assert complete is not None and complete[0] == (-2.0,) * MOST_IDS + (-1.0,)
