import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from engines.answers import answer_into
from engines.chat.turn_end import turn_end
from engines.likelihood import end_of
from engines.local.transformers_engine import TransformersEngine
from engines.protocol import Request, Sampling
from records import Prompt, Response, Store
from records.rows import messages_of
from tests.families import tokenizer_of
from tests.tiny import CHAT_TEMPLATE, save_tiny_model
from trainer.monitors.kl import AnswerLikelihood, kl_of, likelihoods_into

EOS, END = 0, 2
"""<|endoftext|>, the tokenizer's end of text, and <|im_end|>, with which the template's turns end."""


def save_with_another_end(folder: Path, ends: int | list[int] | None = EOS, template: str = CHAT_TEMPLATE) -> Path:
    """Write a model as Gemma's, Phi-3's and Qwen's are: its turns do not end with the tokenizer's eos_token."""
    save_tiny_model(folder)
    for name, change in (
        ("tokenizer_config.json", {"eos_token": "<|endoftext|>"}),
        ("generation_config.json", {"eos_token_id": ends}),
    ):
        path = folder / name
        path.write_text(json.dumps(json.loads(path.read_text()) | change))
    (folder / "chat_template.jinja").write_text(template)
    return folder


def biased(engine: TransformersEngine, token: int, logit: float) -> TransformersEngine:
    """Let the model say `token` with this logit, whatever came before."""
    engine.model.lm_head.register_forward_hook(lambda _, __, out: out.index_fill(-1, torch.tensor([token]), logit))
    return engine


TURN = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}END{% endfor %}"


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (CHAT_TEMPLATE, END),
        (TURN.replace("END", "<|im_end|>\n"), END),
        (TURN.replace("END", " \n<|im_end|>"), END),
        (TURN.replace("END", "<|im_end|><|endoftext|>"), END),
        (TURN.replace("END", "<|endoftext|>"), EOS),
        (TURN.replace("END", "\n\n"), EOS),
        (TURN.replace("END", ""), EOS),
        (TURN.replace("END", "<|im_end|>").replace("m['content']", "m['content'] | upper"), EOS),
        (TURN.replace("END", "<|im_end|>").replace("m['content']", "m['content'] | trim"), END),
    ],
)
def test_the_end_of_a_turn_is_the_templates_own(tmp_path: Path, template: str, expected: int) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(save_with_another_end(tmp_path / "m", template=template))
    assert tokenizer.eos_token_id == EOS and turn_end(tokenizer) == expected


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        ("Gemma", "<end_of_turn>"), ("Gemma-4", "<turn|>"), ("Phi-3", "<|end|>"), ("Llama-3", "<|eot_id|>"),
        ("Mistral v0.3", "</s>"), ("Qwen3", "<|im_end|>"), ("Command-R", "<|END_OF_TURN_TOKEN|>"),
        ("DeepSeek", "<｜end▁of▁sentence｜>"), ("EXAONE", "[|endofturn|]"), ("MiniMax", "[e~["),
        ("Nemotron", "<SPECIAL_12>"), ("Granite", "<|end_of_text|>"), ("Zephyr", "</s>"), ("Llama-2", "</s>"),
    ],
)  # fmt: skip
def test_the_end_of_a_turn_is_found_in_the_templates_of_all_families(family: str, expected: str) -> None:
    tokenizer = tokenizer_of(family)
    assert tokenizer.convert_ids_to_tokens(turn_end(tokenizer)) == expected


@pytest.mark.parametrize("ends", [None, EOS, [EOS], [EOS, END], END, [1, END]])
def test_a_model_stops_where_its_turn_ends_whatever_its_settings_name(tmp_path: Path, ends: Any) -> None:
    engine = TransformersEngine.load(save_with_another_end(tmp_path / "m", ends), "m")
    assert {EOS, END} <= engine.ends
    [said] = biased(engine, END, 50.0).generate([Request(messages_of("hello"))], Sampling(5))
    assert (said.text, said.finish_reason, said.n_tokens, said.end) == ("", "stop", 0, "<|im_end|>")


def test_what_ended_an_answer_is_kept_in_its_row(tmp_path: Path) -> None:
    model = save_with_another_end(tmp_path / "m", [EOS, END])
    kept = []
    for token in (EOS, END, 40):
        engine = biased(TransformersEngine.load(model, "m"), token, 50.0)
        with Store(tmp_path / f"{token}.jsonl", Response) as store:
            kept += answer_into(store, engine, [Prompt(id="p", prompt="hello")], Sampling(2))
    assert [row.end for row in kept] == ["<|endoftext|>", "<|im_end|>", ""]
    stopped = next(engine.generate([Request(messages_of("hello"))], Sampling(9, stop=(engine.tokenizer.decode(40),))))
    assert (stopped.finish_reason, stopped.end) == ("stop", "")


@pytest.mark.parametrize(
    ("reason", "end", "expected"),
    [
        ("stop", None, END), ("stop", "<|endoftext|>", EOS), ("stop", "<|im_end|>", END), ("stop", "", None),
        ("stop", "<not a token of this model>", END), ("end_turn", None, END), ("eos_token", None, END),
        ("length", None, None), ("content_filter", None, None), ("stop_sequence", None, None), (None, None, None),
    ],
)  # fmt: skip
def test_an_answer_ends_with_what_really_ended_it(
    tmp_path: Path, reason: str | None, end: str | None, expected: int | None
) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(save_with_another_end(tmp_path / "m"))
    assert end_of(tokenizer, reason, end) == expected


def likelihoods(path: Path, engine: TransformersEngine, rows: Sequence[Response]) -> list[AnswerLikelihood]:
    with Store(path, AnswerLikelihood) as store:
        return likelihoods_into(store, engine, rows, "likelihoods")


def test_models_that_differ_in_a_token_that_is_never_said_are_no_distance_apart(tmp_path: Path) -> None:
    model = save_with_another_end(tmp_path / "m", [EOS, END])
    rows = [
        Response(id=str(n), prompt_id="p", prompt="hello", response=text, model="m", finish_reason="stop", end=end)
        for n, (text, end) in enumerate((("the user", None), ("an answer", "<|im_end|>")))
    ]
    found = []
    for logit in (-12.0, -9.0):
        engine = biased(TransformersEngine.load(model, "m"), EOS, logit)
        found.append(likelihoods(tmp_path / f"{logit}.jsonl", engine, rows))
    kl = kl_of(*found)
    assert kl is not None and abs(kl.per_token) < 1e-3
    assert kl.n_tokens == sum(len(engine.tokenizer(row.response)["input_ids"]) + 1 for row in rows)
