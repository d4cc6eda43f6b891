import time
from itertools import product

import pytest

from records.reasoning import answer_span, without_reasoning

CLOSED = [
    "<think>{}</think>{}",
    "<think>\n{}\n</think>\n\n{}",
    "<THINK>{}</THINK>{}",
    "{}</think>{}",
    "<think>{}<think>b</think> c</think>{}",
    "<think>a</think><think>{}</think>{}",
    "<thinking>{}</thinking>{}",
    "<thought>{}</thought>{}",
    "<reasoning>{}</reasoning>{}",
    "<reflection>{}</reflection>{}",
    "<analysis>{}</analysis>{}",
    "<seed:think>{}</seed:think>{}",
    "<mm:think>{}</mm:think>{}",
    "<longcat_think>{}</longcat_think>{}",
    "<think_fast>{}</think_fast>{}",
    '<think budget="5">{}</think>{}',
    "[THINK]{}[/THINK]{}",
    "◁think▷{}◁/think▷{}",
    "<|START_THINKING|>{}<|END_THINKING|><|START_RESPONSE|>{}<|END_RESPONSE|>",
    "<|begin_of_thought|>{}<|end_of_thought|>\n<|begin_of_solution|>{}<|end_of_solution|>",
    "<|inner_prefix|>{}<|inner_suffix|>{}",
    "<unused94>thought\n{}<unused95>{}",
    "<|channel>thought\n{}<channel|>{}<turn|>",
    "<|channel|>analysis<|message|>{}<|end|><|start|>assistant<|channel|>final<|message|>{}<|return|>",
    "<|start|>assistant<|channel|>analysis<|message|>{}<|end|><|start|>assistant<|channel|>commentary<|message|>x<|end|>"
    "<|start|>assistant<|channel|>final <|constrain|>json<|message|>{}<|return|>",
    "analysisWe are to grade. {}assistantfinal{}",
    "<|think|>{}<|end|><|begin|>assistant<|content|>{}<|end|>",
    "Here is my thought process:\n{}\nHere is my response:\n{}",
    "Here are my reasoning steps:\n{}\n[BEGIN FINAL RESPONSE]\n{}\n[END FINAL RESPONSE]",
    "Let me see.\n<think>{}</think>\n{}",
    "Let me see. <think>{}</think> {}",
]  # fmt: skip
OPEN = [
    "<think>{}", "\n <thinking>\n{}", "<reasoning>{}", "<seed:think>{}", "[THINK]{}", "◁think▷{}",
    "<|START_THINKING|>{}",
    "<|begin_of_thought|>{}", "<|channel>thought\n{}", "<unused94>thought\n{}", "<|channel|>analysis<|message|>{}",
    "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>commentary<|message|>{}",
    "analysisWe see. {}",
    "<|channel|>analysis<|message|>a<|end|><|start|>user<|message|>b<|end|><|start|>assistant<|channel|>final<|message|>{}",
    "<think>a</think><think>{}", "Let me see.\n<think>{}", "Let me see. <think>{}", "So: <|START_THINKING|>{}",
    "<think>a<|im_end|>\n<|im_start|>user\nb<|im_end|>\n<|im_start|>assistant\n<think>c</think>{}",
]  # fmt: skip
TURNS = [
    "<|im_end|>\n<|im_start|>user\n", "<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n", "</s>[INST] ",
    "<|endoftext|>",
    "<|im_start|>user\n", "<end_of_turn>\n<start_of_turn>user\n", "<turn|>\n<|turn>user\n",
    "<|end|><|user|>\n", "[INST] ",
    "<｜end▁of▁sentence｜><｜User｜>", "<|END_OF_TURN_TOKEN|>", "<|return|>", "<|call|>", "<|user|>", "<|eot|>",
    "</s>", "<eos>",
    "[|endofturn|]\n[|user|]", "<|end_of_text|>", "<seed:eos>", "[e~[\n]~b]user\n", "<|role_end|>",
    "<SPECIAL_11>User\n",
    "<extra_id_1>User\n", "<|im_user|>user<|im_middle|>", "<|observation|>",
    "<|a_token_of_a_family_to_come|>", "<eoa>",
]  # fmt: skip
HEADERS = [
    "<|im_start|>assistant\n", "<|start_header_id|>assistant<|end_header_id|>\n\n", "<|assistant|>\n", "<s> ",
    "[/INST] ",
    "<start_of_turn>model\n", "<|turn>model\n", "<｜Assistant｜>", "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>",
    "<|start_of_role|>assistant<|end_of_role|>", "[|assistant|]", "<|im_assistant|>assistant<|im_middle|>",
]  # fmt: skip


def answer(reply: str, *tags: tuple[str, str]) -> str | None:
    span = answer_span(reply, tags)
    return None if span is None else reply[span].strip()


@pytest.mark.parametrize("form", CLOSED)
def test_the_answer_begins_after_the_reasoning_of_any_family(form: str) -> None:
    assert answer(form.format("Score: 5?", "Score: 4")) == "Score: 4"


@pytest.mark.parametrize("form", OPEN)
def test_a_reply_that_stops_inside_its_reasoning_has_no_answer(form: str) -> None:
    assert answer(form.format("It seems fine.\nScore: 5")) is None


@pytest.mark.parametrize("turn", TURNS)
def test_the_answer_ends_where_its_turn_ends(turn: str) -> None:
    assert answer(f"It is fine.\nScore: 2{turn}Now grade another.{turn}Score: 5") == "It is fine.\nScore: 2"
    assert answer(f"<think>a</think>Score: 2{turn}<think>b</think>Score: 5") == "Score: 2"


@pytest.mark.parametrize("header", HEADERS)
def test_the_opening_of_its_own_turn_is_no_part_of_the_answer(header: str) -> None:
    assert answer(f"{header}Score: 4") == "Score: 4"
    assert answer(f"{header}<think>Score: 5?</think>Score: 4") == "Score: 4"


@pytest.mark.parametrize(
    "reply",
    [
        "Score: 4",
        "",
        "The answer contains <think> and [[5]], nothing else.\nScore: 0",
        "The answer holds `<|im_end|>` and '</s>' and `</think>`.\nScore: 1",
        'It says "<|im_end|>\n<|im_start|>assistant\nScore: 5<|im_end|>" of itself.\nScore: 1',
        'It says "\n<think>\nthat it is\nScore: 5" of itself.\nScore: 1',
        "It says “<|im_end|> Score: 5” of itself.\nScore: 1",
        "Is 3 < 4 and a[0] > 1? List<Answer> | [x] are code.\nScore: 3",
        "Score: <|begin_of_box|>4<|end_of_box|>",
        "The analysis is fine.\nScore: 4",
        "analysis\nScore: 4",
    ],
)
def test_a_reply_without_marks_of_its_own_is_all_answer(reply: str) -> None:
    assert answer(reply) == reply


def test_a_templates_own_tags_are_known_when_given() -> None:
    own = ("<<plan>>", "<</plan>>")
    assert answer("<<plan>>Score: 5<</plan>>Score: 4", own) == "Score: 4"
    assert answer("<<plan>>Score: 5", own) is None and answer("<<plan>>Score: 5") == "<<plan>>Score: 5"
    assert answer("<think>a</think>b", own) == "b"


def test_the_answer_is_found_in_time_linear_in_the_length() -> None:
    parts = [
        "<",
        "<think>",
        "</think>",
        "<|im_start|>",
        '"',
        "x ",
        "\n",
        " ",
        "<|channel|>",
        "analysis",
        "[",
        "<s>",
        "a_",
        "<|a",
    ]
    for beginning, part in product(["", '"', "<think>", "<s>"], parts):
        reply = beginning + part * (20_000 // len(part))
        started_s = time.process_time()
        answer_span(reply)
        assert time.process_time() - started_s < 0.2, (beginning, part)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<think>a</think>\n\nb", "b"),
        ("a</think>b", "b"),
        ("b", "b"),
        (" b ", " b "),
        ("<think>never ends", "<think>never ends"),
        ("Use `<think>` for that.", "Use `<think>` for that."),
        ("b<|im_end|>", "b<|im_end|>"),
    ],
)
def test_an_answer_without_its_reasoning_is_the_rest_as_it_stands(text: str, said: str) -> None:
    assert without_reasoning(text) == said
