from typing import Any

import pytest

from console.errors import InputError
from records.fields.messages import chat_in, rendered_in, transcript_in
from records.fields.prompts import prompt_in
from records.shapes import chats_of, prompt_of, responses_of

SYSTEM = {"role": "system", "content": "You are a pirate."}
USER = {"role": "user", "content": "Q"}
FIRST = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
ANSWER = {"role": "assistant", "content": "A"}


@pytest.mark.parametrize(
    ("record", "prompt"),
    [
        ({"system": "You are a pirate.", "prompt": "Q"}, [SYSTEM, USER]),
        ({"system_prompt": "You are a pirate.", "instruction": "Q", "input": ""}, [SYSTEM, USER]),
        ({"system_message": "You are a pirate.", "question": "Q"}, [SYSTEM, USER]),
        ({"system": "You are a pirate.", "prompt": [USER]}, [SYSTEM, USER]),
        ({"system": "You are a pirate.", "prompt": [SYSTEM, USER]}, [SYSTEM, USER]),
        ({"system": " ", "prompt": "Q"}, "Q"),
        ({"system": None, "history": [], "prompt": "Q"}, "Q"),
        ({"history": [["Hi", "Hello"]], "prompt": "Q"}, [*FIRST, USER]),
        ({"history": FIRST, "instruction": "Q"}, [*FIRST, USER]),
        ({"history": '[["Hi", "Hello"]]', "prompt": "Q"}, [*FIRST, USER]),
        ({"history": [["Hi", "Hello"]], "system": "You are a pirate.", "prompt": "Q"}, [SYSTEM, *FIRST, USER]),
        ({"history": [["Hi", "Hello"]], "prompt": [SYSTEM, USER]}, [SYSTEM, *FIRST, USER]),
        ({"conversations": [{"from": "system", "value": "You are a pirate."}, {"from": "human", "value": "Q"}]},
         [SYSTEM, USER]),
        ({"conversation": [{"role": "Human", "content": "Q"}, {"role": "Assistant", "content": "A"}]}, [USER]),
        ({"messages": [{"role": "developer", "content": "You are a pirate."}, {"role": "USER", "content": "Q"}]},
         [SYSTEM, USER]),
        ({"prompt": '[{"role": "user", "content": "Q"}]'}, [USER]),
        ({"prompt": "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: Q\n\nAssistant:"}, [*FIRST, USER]),
        ({"prompt": [{"role": "user", "content": [{"type": "text", "text": "Q"}]}]}, [USER]),
        ({"chosen": "\n\nHuman: Q\n\nAssistant: A", "rejected": "\n\nHuman: Q\n\nAssistant: B"}, [USER]),
    ],
)  # fmt: skip
def test_what_stands_before_the_last_turn_is_part_of_the_prompt(record: dict[str, Any], prompt: object) -> None:
    assert prompt_of(record).prompt == prompt


@pytest.mark.parametrize(
    "shape",
    [
        {"prompt": "Q", "response": "A"},
        {"instruction": "Q", "output": "A"},
        {"messages": [USER, ANSWER]},
        {"conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]},
        {"question": "Q", "chosen": "A", "rejected": "B"},
        {"instruction": "Q", "output_1": "B", "output_2": "A", "label": 2},
        {"chosen": [USER, ANSWER], "rejected": [USER, {"role": "assistant", "content": "B"}]},
    ],
)
@pytest.mark.parametrize("name", ["system", "system_prompt"])
def test_rows_that_differ_in_their_system_turn_only_are_different_rows(shape: dict[str, Any], name: str) -> None:
    plain, pirate, poet = ({**shape, **more} for more in ({}, {name: "You are a pirate."}, {name: "You are a poet."}))
    for one in (lambda record: responses_of(record)[0], prompt_of):
        ids = {one(record).id for record in (plain, pirate, poet)}
        assert len(ids) == 3
    assert len({responses_of(record)[0].prompt_id for record in (plain, pirate, poet)}) == 3
    assert chats_of(pirate) == [[SYSTEM, USER, ANSWER]] and chats_of(plain) == [[USER, ANSWER]]


@pytest.mark.parametrize(
    ("turns", "message"),
    [
        ([{"role": "narrator", "content": "x"}], "role 'narrator', which cannot be placed"),
        ([{"role": "function_call", "content": "x"}], "cannot be placed"),
        ([{"role": "", "content": "x"}], "'role' is empty"),
        ([{"content": "x"}], "'role' must be text, found NoneType"),
        ([{"role": "user", "from": "gpt", "content": "x"}], "both 'role' and 'from'"),
        ([{"role": "user", "content": "x", "value": "y"}], "both 'content' and 'value'"),
        ([{"role": "user", "content": None}], "'content' must be text, found NoneType"),
        ([{"role": "assistant", "content": "", "tool_calls": [{"id": "1"}]}], "calls a tool"),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}], "a part of the type 'image_url'"),
        ([{"role": "user", "content": ["x"]}], "a part of the type 'str'"),
        (["x"], "must be a list of messages"),
        ("[{'role': 'user', 'content': 'x'}]", "written as text, and not as JSON"),
    ],
)
def test_a_turn_that_cannot_be_placed_is_an_error(turns: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        chat_in(turns, "messages")


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"system": "You are a poet.", "prompt": [SYSTEM, USER]}, "two different system turns"),
        ({"system": "a", "system_prompt": "b", "prompt": "Q"}, "several system turns: system, system_prompt"),
        ({"system": 3, "prompt": "Q"}, "'system' must be text, found int"),
        ({"system": "a", "history": [SYSTEM, *FIRST], "prompt": "Q"}, "'history' has one of its own"),
        ({"history": "Hi, Hello", "prompt": "Q"}, "'history' must be a list of messages"),
        ({"history": [["Hi", "Hello", "?"]], "prompt": "Q"}, "'history' must be a list of messages"),
        ({"history": [["Hi", None]], "prompt": "Q"}, "'history' must be text, found NoneType"),
        ({"messages": [USER], "conversations": [{"from": "human", "value": "other"}]}, "several conversations"),
        ({"messages": [ANSWER]}, "no prompt"),
    ],
)
def test_a_head_that_contradicts_the_conversation_is_an_error(record: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        prompt_of(record)


def test_reasoning_is_no_part_of_what_was_said_and_text_parts_are_joined() -> None:
    parts = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    assert chat_in([{"role": "assistant", "content": parts}], "x") == [{"role": "assistant", "content": "one\ntwo"}]


@pytest.mark.parametrize("name", ["tool", "function", "observation"])
def test_a_tool_turn_keeps_its_place(name: str) -> None:
    chat = chat_in([{"from": "human", "value": "Q"}, {"from": name, "value": "42"}], "x")
    assert [turn["role"] for turn in chat] == ["user", "tool"]


@pytest.mark.parametrize(
    "text",
    [
        "hello<|im_end|>", "[INST] hi [/INST]", "<start_of_turn>user\nhi", "x<|eot_id|>", "<<SYS>>x", "hi</s>",
        "<｜User｜>x", "<|start_header_id|>user", "[|endofturn|]", "<|assistant|>",
    ],
)  # fmt: skip
def test_a_rendered_template_is_seen(text: str) -> None:
    assert rendered_in(["plain", text])


@pytest.mark.parametrize("text", ["a <b> c", "x[0]", "<s>struck</s> out", "<|>", "if a<|b", "see [INSTALL]"])
def test_ordinary_text_is_no_template(text: str) -> None:
    assert rendered_in([text]) is None


@pytest.mark.parametrize("text", ["Human: hi", "The Human: Q\n\nAssistant: A", "Assistant: A\n\nHuman: Q", ""])
def test_what_is_no_transcript_is_text(text: str) -> None:
    assert transcript_in(text) is None


@pytest.mark.parametrize("prompt", [[{"role": "system", "content": "Be brief."}], [{"role": "System", "content": "x"}]])
def test_a_prompt_of_system_turns_alone_asks_nothing(prompt: Any) -> None:
    with pytest.raises(InputError, match="no request"):
        prompt_in({"prompt": prompt})
