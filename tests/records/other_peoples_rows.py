"""Rows in the shapes of data sets that people have, each with what it means: pairs, responses, chats or a prompt.

Messages are written `s:` (system), `u:`, `a:`, `t:` (tool), with a bar between. `Bad` is a pattern of the reason.
"""

from typing import Any

PAIR = [("u:Q", "A", "B")]
BOTH = [("u:Q", "A"), ("u:Q", "B")]
LEARNT = ["u:Q|a:A"]


class Bad(str):
    """The row is a bad row for a reason that this pattern is found in."""


def u(text: Any) -> dict[str, Any]:
    return {"role": "user", "content": text}


def a(text: Any, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": text, **more}


def s(text: str) -> dict[str, Any]:
    return {"role": "system", "content": text}


def said(who: str, text: str) -> dict[str, Any]:
    return {"from": who, "value": text}


def parts(*texts: str) -> list[dict[str, Any]]:
    return [{"text": text} for text in texts]


def two(label: Any, name: str = "label", **more: Any) -> dict[str, Any]:
    return {"prompt": "Q", "response_a": "A", "response_b": "B", name: label, **more}


def arena(a_wins: int, b_wins: int, ties: int, prompt: str = '["Q"]', **sides: str) -> dict[str, Any]:
    return {"id": 1, "model_a": "m", "model_b": "n", "prompt": prompt, "response_a": '["A"]', "response_b": '["B"]',
            "winner_model_a": a_wins, "winner_model_b": b_wins, "winner_tie": ties, **sides}  # fmt: skip


def talk(*turns: str) -> list[dict[str, Any]]:
    return [(u, a)[place % 2](text) for place, text in enumerate(turns)]


def mt_bench(turn: int) -> dict[str, Any]:
    return {"question_id": 81, "model_a": "x", "model_b": "y", "winner": "model_b", "judge": "expert_0", "turn": turn,
            "conversation_a": talk("Q", "B", "R", "B2"), "conversation_b": talk("Q", "A", "R", "A2")}  # fmt: skip


def pandalm(*votes: Any, **sides: Any) -> dict[str, Any]:
    named = {f"annotator{place}": vote for place, vote in enumerate(votes, start=1)}
    return {"idx": 0, "cmp_key": "x_y", "instruction": "Q", "input": "", "response1": "A", "response2": "B", **named,
            **sides}  # fmt: skip


def steered(strength: Any) -> dict[str, Any]:
    return {"split": "train", "prompt": "Q", "response_1": "A", "response_2": "B", "preference_strength": strength,
            "preference_statement": "s", "preference_elaboration": "e"}  # fmt: skip


HH = "\n\nHuman: Q\n\nAssistant: "
OPENAI = {"input": {"messages": [s("S"), u("Q")], "tools": [], "parallel_tool_calls": True},
          "preferred_output": [a("A")], "non_preferred_output": [a("B")]}  # fmt: skip
ULTRA = {"instruction": "Q", "models": ["m1", "m2", "m3"], "correct_answers": ["None"], "completions": [
    {"model": "m1", "response": "B", "overall_score": 10, "fine-grained_score": 1.0, "custom_system_prompt": "AI"},
    {"model": "m2", "response": "A", "overall_score": 8.5, "fine-grained_score": 4.75},
    {"model": "m3", "response": "C", "overall_score": 5, "fine-grained_score": 4.0}]}  # fmt: skip
NECTAR = {
    "prompt": HH,
    "turns": 1,
    "num_responses": 7,
    "source": ["s"],
    "good_natured": True,
    "answers": [{"answer": "A", "model": "x", "rank": 1.0}, {"answer": "C", "rank": 2.0}, {"answer": "B", "rank": 7.0}],
}
GEMINI = {
    "systemInstruction": {"role": "system", "parts": parts("S")},
    "contents": [
        {"role": "user", "parts": parts("Q")},
        {"role": "model", "parts": [{"text": "hm", "thought": True}, {"text": "A"}]},
    ],
}

PAIRS: dict[str, tuple[dict[str, Any], Any]] = {
    "UltraFeedback's completions": (ULTRA, PAIR),
    "UltraFeedback's, all tied": ({"instruction": "Q", "completions": [
        {"response": "A", "overall_score": 4}, {"response": "B", "overall_score": 4}]}, []),
    "completions without scores": ({"instruction": "Q", "completions": [{"response": "A"}, {"response": "B"}]},
                                   Bad("none is said to be the best")),
    "Nectar's ranks": (NECTAR, PAIR),
    "ranks": ({"prompt": "Q", "responses": ["B", "A"], "ranks": [1, 0]}, PAIR),
    "ranks of one text twice": ({"prompt": "Q", "responses": ["A", "A", "B"], "ranks": [0, 1, 2]}, PAIR),
    "fewer ranks than answers": ({"prompt": "Q", "responses": ["A", "B"], "ranks": [0]}, Bad("2 responses, but 1")),
    "distilabel's ratings": ({"instruction": "Q", "generations": ["B", "A"], "ratings": [2, 5]}, PAIR),
    "a rating that is missing rejects nothing": (
        {"instruction": "Q", "generations": ["C", "A", "B"], "ratings": [None, 5, 1]}, PAIR),
    "one rating": ({"instruction": "Q", "generations": ["A", "B"], "ratings": [5, None]}, Bad("only one of 2")),
    "a rating that is no number": ({"instruction": "Q", "generations": ["A", "B"], "ratings": [5, "N/A"]}, Bad("N/A")),
    "Gemini's scores": ({"contents": [{"role": "user", "parts": parts("Q")}], "completions": [
        {"score": 0.0, "completion": {"role": "model", "parts": parts("B")}},
        {"score": 1.0, "completion": {"role": "model", "parts": parts("A")}}]}, PAIR),
    "OpenAI's preferences": (OPENAI, [("s:S|u:Q", "A", "B")]),
    "Argilla's chosen_response": ({"instruction": "Q", "chosen_response": "A", "rejected_response": "B"}, PAIR),
    "Argilla's dashes": ({"prompt": "Q", "chosen": talk("Q", "A"), "chosen-rating": 5, "rejected": talk("Q", "B")},
                         PAIR),
    "distilabel's Capybara": ({"conversation": [{"input": "Q", "output": "A"}], "prompt": "Q", "original_response": "A",
                               "chosen": talk("Q", "A"), "rejected": talk("Q", "B")}, PAIR),
    "distilabel's Orca": ({"system": "S", "input": "Q", "chosen": "A", "rejected": "B", "generations": ["A", "B"],
                           "rating": [9.0, 7.0], "status": "unchanged"}, [("s:S|u:Q", "A", "B")]),
    "UltraInteract's trajectory": ({"trajectory": [said("user", "Q1"), said("assistant", "x"), said("user", "Q2")],
                                    "chosen": "A", "rejected": "B"}, [("u:Q1|a:x|u:Q2", "A", "B")]),
    "ms-swift's rejected_response": ({"messages": [s("S"), u("Q"), a("A")], "rejected_response": "B"},
                                     [("s:S|u:Q", "A", "B")]),
    "ms-swift's history": ({"query": "Q", "response": "A", "rejected_response": "B", "history": [["h", "i"]]},
                           [("u:h|a:i|u:Q", "A", "B")]),
    "OpenRLHF's": ({"question": "Q", "response_chosen": "A", "response_rejected": "B"}, PAIR),
    "StackExchange's": ({"qid": 1, "question": "Q", "response_j": "A", "response_k": "B"}, PAIR),
    "ms-swift's several": ({"messages": talk("Q", "A"), "rejected_response": ["B", "C"]},
                           [("u:Q", "A", "B"), ("u:Q", "A", "C")]),
    "ms-swift's rejected_messages": ({"messages": talk("Q", "A"), "rejected_messages": talk("Q", "B")}, PAIR),
    "ms-swift's other talk": ({"messages": talk("Q", "A"), "rejected_messages": talk("R", "B")}, Bad("share")),
    "NeMo's ranks": ({"context": [u("Q")], "completions": [{"rank": 1, "completion": [a("B")]},
                      {"rank": 0, "completion": [a("A")]}]}, PAIR),
    "a count called turns": ({"chosen": talk("Q", "A"), "rejected": talk("Q", "B"), "turns": 1}, PAIR),
    "an input that asks nothing": ({"input": {"x": 1}, "chosen": talk("Q", "A"), "rejected": talk("Q", "B")}, PAIR),
    "a third answer": (two("a", response_c="C"), Bad("three answers or more: response_a, response_b, response_c")),
    "an empty third of a table": (two("a", response_c=""), PAIR),
    "a prompt that was answered": ({"prompt": talk("Q", "x"), "chosen": "A", "rejected": "B"}, Bad("assistant's turn")),
    "a strength and a label": ({**steered(2), "label": 1}, Bad("contradict")),
    "HelpSteer2's 1 is the second": (steered(1), [("u:Q", "B", "A")]),
    "HelpSteer2's -3 is the first": (steered(-3), PAIR),
    "HelpSteer2's 0 is a tie": (steered(0), []),
    "HelpSteer2's 4 is none": (steered(4), Bad("from -3 to 3")),
    "HelpSteer3's context": ({"context": talk("Q1", "x", "Q2"), "response1": "B", "response2": "A",
                              "overall_preference": 1}, [("u:Q1|a:x|u:Q2", "A", "B")]),
    "HelpSteer3's without": ({"context": [u("Q")], "response1": "A", "response2": "B", "overall_preference": None},
                             Bad("no label")),
    "PandaLM's majority": (pandalm(2, 2, 1), [("u:Q", "B", "A")]),
    "PandaLM's tie": (pandalm(0, 0, 1), []),
    "PandaLM's three": (pandalm(0, 1, 2), []),
    "PandaLM's with one missing": (pandalm(1, None, 1), Bad("annotator2")),
    "PandaLM's answer True": (pandalm(1, 1, 1, response1=True), [("u:Q", "True", "B")]),
    "PKU-SafeRLHF's": ({"prompt": "Q", "response_0": "B", "response_1": "A", "better_response_id": 1,
                        "safer_response_id": 0, "is_response_0_safe": True}, PAIR),
    "the Arena's table": (arena(1, 0, 0), PAIR),
    "the Arena's second": (arena(0, 1, 0), [("u:Q", "B", "A")]),
    "the Arena's tie": (arena(0, 0, 1), []),
    "the Arena's nobody": (arena(0, 0, 0), Bad("must be 1, found 0")),
    "the Arena's talk": (arena(1, 0, 0, '["Q","R"]', response_a='["A","x"]', response_b='["B","y"]'), Bad("share")),
    "the Arena's null": (arena(1, 0, 0, response_b="[null]"), Bad("'response_b' must be text")),
    "the Arena's parts": ({"winner": "both_bad", "conversation_a": [u([{"type": "text", "text": "Q", "image": None}]),
                           a("A")], "conversation_b": talk("Q", "B")}, []),
    "MT-Bench's first turn of two": (mt_bench(1), PAIR),
    "MT-Bench's second turn": (mt_bench(2), Bad("share their prompt")),
    "the first model's name": (two("gpt-4", "winner", model_a="gpt-4", model_b="claude"), PAIR),
    "the second model's name": (two("gpt-4", "winner", model_a="claude", model_b="gpt-4"), [("u:Q", "B", "A")]),
    "a name of both": (two("gpt-4", "winner", model_a="gpt-4", model_b="gpt-4"), Bad("no label")),
    "the prompt's system turn": ({"prompt": [s("S"), u("Q")], "chosen": talk("Q", "A"), "rejected": talk("Q", "B")},
                                 [("s:S|u:Q", "A", "B")]),
    "another system turn": ({"prompt": [s("S"), u("Q")], "chosen": [s("T"), *talk("Q", "A")],
                             "rejected": [s("T"), *talk("Q", "B")]}, Bad("two different system turns")),
    "a system turn of one side": ({"prompt": "Q", "chosen": [s("S"), *talk("Q", "A")], "rejected": talk("Q", "B")},
                                  Bad("share")),
    "an answered conversation beside": ({"messages": talk("Q", "A"), "chosen": "A", "rejected": "B"}, PAIR),
    "equal but for spaces": ({"prompt": "Q", "chosen": "A", "rejected": "A \n"}, Bad("the same")),
    "an empty chosen answer": ({"prompt": "Q", "chosen": "", "rejected": "B"}, Bad("'chosen' is empty")),
    "an empty rejected answer": ({"chosen": talk("Q", "A"), "rejected": talk("Q", " ")}, Bad("'rejected' is empty")),
    "an empty label beside one": (two("", winner="a"), PAIR),
    "an empty pair of a table": ({"prompt": "Q", "chosen": "", "rejected": ""}, Bad("no pair")),
    "a judgment": ({"prompt": "Q", "response": "A", "score": 3, "judge": "j"}, Bad("trainer.pairs")),
}  # fmt: skip

RESPONSES: dict[str, tuple[dict[str, Any], Any]] = {
    "Dolly's context": ({"instruction": "Q", "context": "C", "response": "A"}, [("u:Q\n\nC", "A")]),
    "Dolly's empty context": ({"instruction": "Q", "context": "", "response": "A"}, [("u:Q", "A")]),
    "SQuAD's context": ({"question": "Q", "context": "C", "answer": "A"}, [("u:Q\n\nC", "A")]),
    "a context that is in the question": ({"question": "C. Q", "context": "C", "answer": "A"}, [("u:C. Q", "A")]),
    "a context that is no text": ({"question": "Q", "context": {"title": ["T"]}, "answer": "A"}, Bad("'context'")),
    "Alpaca's input that is no text": ({"instruction": "Q", "input": ["x"], "output": "A"}, Bad("'input'")),
    "Alpaca's input as a number": ({"instruction": "Q", "input": 5, "output": "A"}, Bad("'input' must be text")),
    "a prompt and an input": ({"prompt": "Translate.", "input": "Hallo", "output": "A"}, Bad("neither holds the")),
    "a prompt with its input": ({"prompt": "Translate: Hallo", "input": "Hallo", "output": "A"},
                                [("u:Translate: Hallo", "A")]),
    "Capybara's": ({"conversation": [{"input": "Q", "output": "x"}, {"input": "R", "output": "A"}]},
                   [("u:Q|a:x|u:R", "A")]),
    "distilabel's": ({"instruction": "Q", "generation": "A", "model_name": "m"}, [("u:Q", "A")]),
    "Nemotron's": ({"system_prompt": "S", "input": [u("Q")], "output": "A"}, [("s:S|u:Q", "A")]),
    "both of ms-swift's": ({"messages": talk("Q", "A"), "rejected_response": "B"}, BOTH),
    "both of HelpSteer3's": ({"context": [u("Q")], "response1": "A", "response2": "B"}, BOTH),
    "both of the Arena's table": (arena(1, 0, 0), BOTH),
    "both of PKU's": ({"prompt": "Q", "response_0": "A", "response_1": "B"}, BOTH),
    "the system turn of the prompt": ({"prompt": [s("S"), u("Q")], "messages": talk("Q", "A")}, [("s:S|u:Q", "A")]),
    "another system turn": ({"prompt": [s("S"), u("Q")], "messages": [s("T"), *talk("Q", "A")]}, Bad("two different")),
    "another prompt": ({"prompt": [u("other")], "messages": talk("Q", "A")}, Bad("not what the conversation opens")),
    "an answer that is none of several": ({"prompt": "Q", "output": "C", "generations": ["A", "B"]}, Bad("is none of")),
    "an answer that is one of several": ({"prompt": "Q", "output": "A", "generations": ["A", "B"]}, BOTH),
    "a text called contents": ({"prompt": "Q", "response": "A", "contents": "x", "trajectory": "y"}, [("u:Q", "A")]),
    "a prompt that was answered": ({"prompt": talk("Q", "x"), "response": "A"}, Bad("assistant's turn")),
    "an instruction apart": ({"instruction": "Be brief", "conversations": [said("human", "Q"), said("gpt", "A")]},
                             Bad("'instruction' is in no turn")),
    "an instruction within": ({"instruction": "Q", "input": "I", "messages": talk("Q\n\nI", "A")}, [("u:Q\n\nI", "A")]),
    "a third answer": ({"prompt": "Q", "response_0": "A", "response_1": "B", "response_2": "C"}, Bad("response_2")),
    "a trace": ({"input": {"messages": [u("Q")]}, "output": a("A")}, [("u:Q", "A")]),
    "a table's empty pair": ({"prompt": "Q", "response": "A", "chosen": "", "rejected": ""}, [("u:Q", "A")]),
    "a table's empty response": ({"prompt": "Q", "response": "", "chosen": "A", "rejected": "B"}, BOTH),
    "a table's empty prompt": ({"prompt": "", "instruction": "Q", "output": "A"}, [("u:Q", "A")]),
    "TRL's steps": ({"prompt": "Q", "completions": ["one", "two"], "labels": [True, False]}, Bad("completions")),
    "Arena-Hard's first answers": ({"question_id": "x", "choices": [{"turns": [{"content": "A"}]}]}, Bad("choices")),
}  # fmt: skip

CHATS: dict[str, tuple[dict[str, Any], Any]] = {
    "the best of several": (ULTRA, LEARNT),
    "OpenAI's preferred": (OPENAI, ["s:S|u:Q|a:A"]),
    "LIMA's": ({"conversations": ["Q", "x", "R", "A"], "source": "multi_turn"}, ["u:Q|a:x|u:R|a:A"]),
    "LIMA's prompt alone": ({"conversations": ["Q"]}, Bad("assistant turn")),
    "Gemini's": (GEMINI, ["s:S|u:Q|a:A"]),
    "Anthropic's": ({"system": [{"type": "text", "text": "S"}], "messages": [u(parts("Q")), a(parts("A"))]},
                    ["s:S|u:Q|a:A"]),
    "Dolly's": ({"instruction": "Q", "context": "C", "response": "A"}, ["u:Q\n\nC|a:A"]),
    "LLaMA-Factory's kto_tag": ({"instruction": "Q", "output": "A", "kto_tag": False}, []),
    "a table's False": ({"prompt": "Q", "completion": "A", "label": "False"}, []),
    "a table's 0": ({"prompt": "Q", "completion": "A", "label": "0"}, []),
    "a table's True": ({"prompt": "Q", "completion": "A", "label": "True"}, LEARNT),
    "OpenAI's weight 0": ({"messages": [u("Q"), a("A", weight=0)]}, []),
    "OpenAI's weight 0 before": ({"messages": [u("P"), a("x", weight=0), u("Q"), a("A", weight=1)]},
                                 ["u:P|a:x|u:Q|a:A"]),
    "Axolotl's training": ({"messages": [u("Q"), a("A", training=False)]}, []),
    "an empty answer": ({"instruction": "Q", "output": ""}, Bad("the answer is empty")),
    "an empty last turn": ({"messages": talk("Q", " ")}, Bad("the answer is empty")),
    "an empty request": ({"messages": talk("", "A")}, Bad("the request is empty")),
    "Gemini's call": ({"contents": [{"role": "user", "parts": parts("Q")}, {"role": "model", "parts": [
        {"functionCall": {"name": "f"}}]}]}, Bad("a part of the type 'functionCall'")),
    "LIMA's in a cell": ({"conversations": '["Q", "A"]'}, LEARNT),
    "a tool's turn before": ({"messages": [u("Q"), {"role": "tool", "content": "42"}, a("A")]}, ["u:Q|t:42|a:A"]),
    "a tool's turn at the end": ({"messages": [*talk("Q", "A"), {"role": "tool", "content": "42"}]}, Bad("assistant")),
}  # fmt: skip

PROMPTS: dict[str, tuple[dict[str, Any], Any]] = {
    "no_robots": ({"prompt": "Q", "messages": [s("S"), *talk("Q", "A")], "category": "Chat"}, "s:S|u:Q"),
    "a pair's": ({"prompt": "Q", "chosen": [s("S"), *talk("Q", "A")], "rejected": [s("S"), *talk("Q", "B")]},
                 "s:S|u:Q"),
    "a pair's that cannot be read": ({"prompt": "Q", "chosen": 0, "rejected": 1}, "u:Q"),
    "OpenAI's": (OPENAI, "s:S|u:Q"),
    "Gemini's": (GEMINI, "s:S|u:Q"),
    "HelpSteer3's": ({"context": talk("Q", "x", "R"), "response1": "A", "response2": "B"}, "u:Q|a:x|u:R"),
    "the Arena's": (arena(1, 0, 0), "u:Q"),
    "LIMA's": ({"conversations": ["Q"]}, "u:Q"),
    "turns beside a prompt": ({"prompt": "Q", "context": [u("x")]}, Bad("two prompts: 'prompt', and the turns")),
}  # fmt: skip

FIRST = ("A", "a ", "1", 1.0, "1.0", "Model A", "Response A", "assistant-a", "A > B", "B<A", "B << A", "[[A>>B]]",
         "Option A", "left", "response_1", "Output 1")  # fmt: skip
SECOND = ("B", "2.0", "response b", "B >> A", "A<B", "right", 1.7, "Candidate B", "[[B]]", "answer2")
TIES = ("Tie", "A = B", "[[C]]", "both bad", "tie (both bad)", "equal", "same", 1.5)
NONE = ("", "maybe", "neither", "A or B", 3, -1, 0.3, True, False, [1], "NaN", float("inf"))
