import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from console.command import Flags, parse
from console.errors import InputError
from engines.chat.template import rendered, safe_messages
from engines.local.transformers_engine import TransformersEngine
from engines.options import EngineOptions, SharedEngineOptions, open_engine
from engines.protocol import Request, Sampling
from engines.served.openai_engine import open_openai
from records import Message
from tests.families import QWEN_3
from tests.openai_server import running
from tests.tiny import save_tiny_model
from trainer.dpo.options import DPOOptions
from trainer.sft.options import SFTOptions
from trainer.training.fit import safe_example
from trainer.training.launch import flags_of
from trainer.training.options import TrainingOptions, check_options, with_template

OFF = {"enable_thinking": False}
PROMPT: list[Message] = [{"role": "user", "content": "What is the answer?"}]
ANSWER: list[Message] = [{"role": "assistant", "content": "It is helpful."}]


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """A command."""

    engine: SharedEngineOptions = field(default_factory=EngineOptions)
    sft: SFTOptions = field(default_factory=SFTOptions)


@pytest.fixture(scope="module")
def thinker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import AutoTokenizer

    folder = save_tiny_model(tmp_path_factory.mktemp("thinker"))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["<think>", "</think>"])
    tokenizer.chat_template = QWEN_3
    tokenizer.save_pretrained(folder)
    return folder


def test_a_flag_or_a_table_sets_the_variables_and_the_flag_wins(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('[engine]\nchat_template_kwargs = {enable_thinking = false, effort = "low"}\n')
    words = ["--config", str(tmp_path / "a.toml")]
    assert parse(Config, words, "x").engine.chat_template_kwargs == {"enable_thinking": False, "effort": "low"}
    words += ["--chat-template-kwargs", '{"enable_thinking": true}']
    assert parse(Config, words, "x").engine.chat_template_kwargs == {"enable_thinking": True}
    assert parse(Config, [], "x").engine.chat_template_kwargs == {}


@pytest.mark.parametrize("word", ["enable_thinking=false", "[1]", "3", "{"])
def test_what_is_no_json_object_is_refused(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        parse(Config, ["--chat-template-kwargs", word], "x")
    assert stopped.value.code == 2 and "JSON" in capsys.readouterr().err


def test_a_launched_training_is_given_the_same_variables() -> None:
    flags = flags_of(SFTOptions(chat_template_kwargs=OFF))
    assert json.loads(flags[flags.index("--chat-template-kwargs") + 1]) == OFF


def test_one_choice_holds_for_a_run() -> None:
    assert with_template(SFTOptions(), OFF).chat_template_kwargs == OFF
    assert with_template(DPOOptions(chat_template_kwargs=OFF), OFF).chat_template_kwargs == OFF
    with pytest.raises(InputError, match="hold for a whole run"):
        with_template(SFTOptions(chat_template_kwargs={"enable_thinking": True}), OFF)


def test_a_bad_variable_is_refused_before_anything_is_loaded() -> None:
    with pytest.raises(InputError, match="'a b'"):
        check_options(TrainingOptions(1e-5, chat_template_kwargs={"a b": 1}))
    with pytest.raises(InputError, match="'messages'"):
        open_openai("m", "http://127.0.0.1:1/v1", "NO_KEY", 1, chat_template_kwargs={"messages": []})


def test_the_variables_are_part_of_the_digest_and_none_leave_it_as_it_was(thinker: Path) -> None:
    digests = [TransformersEngine.load(thinker, "t", 1, kwargs).digest for kwargs in (None, {}, OFF, {"x": 1})]
    assert digests[0] == digests[1] and len(set(digests)) == 3
    served = [
        open_openai("m", "http://127.0.0.1:1/v1", "NO_KEY", 1, chat_template_kwargs=kwargs).digest
        for kwargs in (None, {}, OFF)
    ]
    assert served[0] == served[1] != served[2]


def test_a_server_is_sent_the_variables_and_nothing_where_there_are_none() -> None:
    def answer(_: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        return 200, {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}], "usage": {}}

    with running() as server:
        server.answer = answer
        for kwargs in (OFF, {}):
            options = EngineOptions("m", base_url=server.url, chat_template_kwargs=kwargs)
            assert [one.text for one in open_engine(options).generate([Request(PROMPT)], Sampling())] == ["Hi"]
    assert server.asked[0]["chat_template_kwargs"] == OFF and "chat_template_kwargs" not in server.asked[1]


def asked_tokens(folder: Path, kwargs: dict[str, Any]) -> list[int]:
    return TransformersEngine.load(folder, "t", 1, kwargs)._encode([Request(PROMPT)], "")[0]


def test_what_is_learnt_after_is_what_is_asked_with_the_same_variables(thinker: Path) -> None:
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    from trainer.training.fit import load_policy, trainer_settings

    model, tokenizer = load_policy(thinker, OFF)
    rows = [safe_example(tokenizer, PROMPT, completion=ANSWER)]
    settings = trainer_settings(SFTOptions(batch_size=1, micro_batch_size=1), thinker / "work", 0)
    args, data = SFTConfig(**settings, completion_only_loss=True), Dataset.from_list(rows)
    row = SFTTrainer(model, args, train_dataset=data, processing_class=tokenizer).train_dataset[0]
    n_prompt = sum(label == -100 for label in row["labels"])
    assert row["input_ids"][:n_prompt] == asked_tokens(thinker, OFF)
    assert tokenizer.decode(row["input_ids"][n_prompt:]) == "It is helpful.<|im_end|>\n"


def test_a_pairs_answers_stand_after_what_is_asked_with_the_same_variables(thinker: Path) -> None:
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    from trainer.training.fit import load_policy, trainer_settings

    model, tokenizer = load_policy(thinker, OFF)
    data = Dataset.from_list([safe_example(tokenizer, PROMPT, chosen=ANSWER, rejected=ANSWER)])
    args = DPOConfig(**trainer_settings(DPOOptions(batch_size=1, micro_batch_size=1), thinker / "work", 0))
    row = DPOTrainer(model, args=args, train_dataset=data, processing_class=tokenizer).train_dataset[0]
    assert row["prompt_ids"] == asked_tokens(thinker, OFF)
    assert tokenizer.decode(row["chosen_ids"]) == "It is helpful.<|im_end|>\n"


def test_a_template_that_opens_a_learnt_answer_otherwise_than_it_asks_is_named_once(
    thinker: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from trainer.training.fit import load_policy

    for _ in range(3):
        safe_example(load_policy(thinker, OFF)[1], PROMPT, completion=ANSWER)
    assert "chat template" not in capsys.readouterr().err
    tokenizer = load_policy(thinker)[1]
    for _ in range(3):
        safe_example(tokenizer, PROMPT, chosen=ANSWER, rejected=ANSWER)
    assert capsys.readouterr().err.count("</think>' before an answer that is learnt") == 1


def test_a_likelihood_is_read_after_the_same_prompt(thinker: Path) -> None:
    from engines.likelihood import answer_tokens

    engine = TransformersEngine.load(thinker, "t", 1, OFF)
    tokens, n_answer = answer_tokens(engine, PROMPT, ANSWER[0]["content"])
    assert tokens[:-n_answer] == asked_tokens(thinker, OFF)
    whole = rendered(engine.tokenizer, [*PROMPT, *safe_messages(engine.tokenizer, ANSWER)], opening=False)
    assert engine.tokenizer.decode(tokens) + "<|im_end|>\n" == whole
