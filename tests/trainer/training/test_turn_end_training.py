"""What ends a turn of the chat template is learnt, and not the tokenizer's end of text, where the two differ."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from records import Pair
from records.rows import messages_of
from tests.engines.chat.test_turn_end import END, EOS, biased, save_with_another_end
from trainer.dpo.options import DPOOptions
from trainer.dpo.train import train_dpo
from trainer.ift.options import IFTOptions
from trainer.kto.options import KTOOptions
from trainer.kto.train import train_kto
from trainer.orpo.options import ORPOOptions
from trainer.orpo.train import train_orpo
from trainer.sft.options import SFTOptions
from trainer.sft.train import train_sft

CHATS = [[*messages_of("say it"), {"role": "assistant", "content": text}] for text in ("point", "it is")]
PAIRS = [
    Pair(prompt=messages_of("say it"), chosen=CHATS[n][1:], rejected=CHATS[1 - n][1:], prompt_id=str(n))
    for n in range(2)
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_with_another_end(tmp_path_factory.mktemp("other end") / "m", [EOS, END])


@pytest.fixture
def fitted(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The trainers that would be trained, in place of training them."""
    import trainer.dpo.train
    import trainer.ift.trainer
    import trainer.kto.train
    import trainer.preference.reference_free
    import trainer.sft.train

    found: list[Any] = []
    trains = (trainer.sft.train, trainer.dpo.train, trainer.kto.train, trainer.preference.reference_free)
    for module in (*trains, trainer.ift.trainer):
        monkeypatch.setattr(module, "fit", lambda made, *_, **__: found.append(made))
    return found


def train_ift(*args: Any) -> Any:
    import trainer.ift.trainer as ift

    return ift.train_ift(*args)


@pytest.mark.parametrize(
    ("train", "data", "options"),
    [
        (train_sft, CHATS, SFTOptions(batch_size=2)),
        (train_ift, CHATS, IFTOptions(batch_size=2)),
        (train_ift, CHATS, IFTOptions(batch_size=2, loss_on="all")),
        (train_dpo, PAIRS, DPOOptions(batch_size=2)),
        (train_orpo, PAIRS, ORPOOptions(batch_size=2)),
        (train_kto, PAIRS, KTOOptions(batch_size=2)),
    ],
)
def test_a_trainer_learns_the_end_of_the_turn(
    model: Path, tmp_path: Path, fitted: list[Any], train: Any, data: Any, options: Any
) -> None:
    train(model, tmp_path / "out", data, options, 0)
    [trainer] = fitted
    batch = trainer.data_collator([trainer.train_dataset[0], trainer.train_dataset[1]])
    learnt = batch.get("labels", batch["input_ids"] if "input_ids" in batch else batch.get("completion_input_ids"))
    mask = batch.get("completion_mask")
    tokens = learnt[mask.bool()].tolist() if mask is not None and "labels" not in batch else learnt.flatten().tolist()
    assert tokens.count(END) >= 2
    assert EOS not in tokens or mask is None  # padding is not learnt


def test_ppo_takes_an_answer_that_ends_its_turn_as_ended(model: Path, tmp_path: Path) -> None:
    import torch

    from engines.local.transformers_engine import TransformersEngine
    from trainer.ppo.actor import ActorCritic, load_value
    from trainer.ppo.options import PPOOptions
    from trainer.ppo.rewards import RewardSource
    from trainer.ppo.rollout import Actors, EncodedPrompt, roll_out
    from trainer.training.fit import load_policy

    policy, tokenizer = load_policy(model)
    engine = biased(TransformersEngine.of_live(policy, tokenizer, "policy"), END, 50.0)
    texts: list[str] = []
    source = RewardSource("said", lambda _, said: [float(len(texts.append(text) or text)) for text in said])
    actors = Actors(ActorCritic(policy, load_value(model, None, tokenizer), 1.0), policy, engine, engine)
    options = replace(PPOOptions(), response_length=4, missing_eos_penalty=7.0, generation_batch_size=2)
    tokens = tokenizer.apply_chat_template(messages_of("say it"), add_generation_prompt=True, return_dict=False)
    with torch.no_grad():
        [answer] = roll_out(actors, source, [EncodedPrompt("say it", tokens)], [0], options)
    assert (answer.tokens, answer.finish_reason, answer.reward, texts) == ([END], "stop", 0.0, [""])
