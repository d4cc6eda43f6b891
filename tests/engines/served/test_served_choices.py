import math
from itertools import product

import pytest

from engines.served.choices.reading import NoLogprobs, NoReading, read_choices
from engines.served.replies.chat_reply import Alternative, Logprobs, Message, Reply, Token

TEN = [str(n) for n in range(1, 11)]
ARENA = ["A>>B", "A>B", "A=B", "B>A", "B>>A"]


def reply(*tokens: tuple[str, dict[str, float]], finish: str = "stop") -> Reply:
    """A reply of these tokens, each with the probabilities that the server lists at its position."""
    content = [
        Token(text, math.log(listed[text]), [Alternative(other, math.log(p)) for other, p in listed.items()])
        for text, listed in tokens
    ]
    return Reply(Message("".join(text for text, _ in tokens)), finish, Logprobs(content))


def masses(found: Reply, choices: list[str]) -> dict[str, float]:
    """The choices that have any probability."""
    logprobs = read_choices(found, choices)
    assert logprobs is not None and len(logprobs) == len(choices)
    return {choice: math.exp(lp) for choice, lp in zip(choices, logprobs, strict=True) if lp > -math.inf}


def test_a_choice_that_begins_another_has_what_does_not_go_on() -> None:
    found = reply(("1", {"1": 0.6, "8": 0.3, "9": 0.1}), ("0", {"0": 0.75, "\n": 0.25}))
    assert masses(found, TEN) == pytest.approx({"10": 0.45, "1": 0.15, "8": 0.3, "9": 0.1})
    found = reply(("1", {"1": 0.6, "8": 0.3}), (" point", {" point": 0.9, "0": 0.1}))
    assert masses(found, TEN) == pytest.approx({"10": 0.06, "1": 0.54, "8": 0.3})


def test_a_reply_that_ends_with_the_shorter_choice_names_it() -> None:
    assert masses(reply(("1", {"1": 0.6, "2": 0.4})), TEN) == pytest.approx({"1": 0.6, "2": 0.4})


def test_a_reply_cut_off_before_its_choice_is_clear_names_none() -> None:
    for found, choices in (
        (reply(("1", {"1": 0.6, "2": 0.4}), finish="length"), TEN),
        (reply(("A", {"A": 0.6, "B": 0.4}), (">", {">": 0.9}), finish="length"), ARENA),
    ):
        with pytest.raises(NoReading, match=r"truncated: the reply was cut off \(length\)"):
            read_choices(found, choices)


def test_another_token_that_only_begins_choices_counts_for_none() -> None:
    found = reply(("8", {"8": 0.7, "1": 0.2, "10": 0.05}))
    assert masses(found, TEN) == pytest.approx({"8": 0.7, "10": 0.05})


def test_a_choice_of_several_tokens_has_the_product_of_their_probabilities() -> None:
    found = reply(
        ("[[", {"[[": 0.9}),
        ("A", {"A": 0.8, "B": 0.2}),
        (">", {">": 0.5, ">>": 0.3, "=": 0.1}),
        ("B", {"B": 0.9, ">B": 0.1}),
        ("]]", {"]]": 1.0}),
    )
    assert masses(found, ARENA) == pytest.approx({"A>B": 0.8 * 0.5 * 0.9, "A>>B": 0.8 * 0.5 * 0.1})


def test_spaces_inside_and_around_a_choice_do_not_matter_to_where_its_tokens_end() -> None:
    choices = ["not enough", "enough", "tie"]
    found = reply((" not", {" not": 0.6, "tie": 0.4}), (" ", {" ": 0.7, " enough": 0.3}), ("enough", {"enough": 0.5}))
    assert masses(found, choices) == pytest.approx({"not enough": 0.6 * 0.3 + 0.6 * 0.7 * 0.5, "tie": 0.4})
    assert masses(reply(("tie\n", {"tie\n": 0.5, " tie": 0.25, "tie": 0.2})), choices) == pytest.approx({"tie": 0.95})


def test_a_word_that_only_begins_like_a_choice_is_passed_over() -> None:
    found = reply(
        ("An", {"An": 0.9, "A": 0.1}), ("swer", {"swer": 1.0}), (":", {":": 1.0}), (" A", {" A": 0.7, " B": 0.3})
    )
    assert masses(found, ["A", "B"]) == pytest.approx({"A": 0.7, "B": 0.3})


def test_no_tokens_name_no_choice() -> None:
    assert read_choices(reply(("I", {"I": 1.0}), (" think", {" think": 1.0})), TEN) is None
    with pytest.raises(NoLogprobs):
        read_choices(Reply(Message("4"), "stop", None), TEN)


def test_the_masses_are_those_of_all_texts_where_each_position_is_as_the_model_gives_it() -> None:
    # A model that writes each of two digits with the same probabilities whatever came before, then ends.
    first, second = {"1": 0.5, "2": 0.3, "3": 0.2}, {"0": 0.6, "1": 0.3, ".": 0.1}
    said = {a + b: p * q for (a, p), (b, q) in product(first.items(), second.items())}
    expected = {"1": said["1."], "10": said["10"], "11": said["11"]}
    assert masses(reply(("1", first), ("0", second)), ["1", "10", "11"]) == pytest.approx(expected)


def said(*texts: str, sure: float = 0.99, finish: str | None = "stop", content: str | None = "") -> Reply:
    """A reply of these tokens, each nearly certain, with nothing else listed."""
    found = reply(*((text, {text: sure}) for text in texts), finish=finish or "")
    return found if content == "" else Reply(Message(content), finish, found.logprobs)


REASONED = [
    ("<think>", "4", " or", "5", "</think>", "Score", ":", " 2"),
    ("4", " or", "5", "</think>", "Score", ":", " 2"),
    ("<think>", "Score", ":", " 4", "</think>", "\n\n", "Score", ":", " 2"),
    ("<think>", "\n", "Score", ":", " 4", "\n", "</think>", "2"),
    ("[THINK]", "Score", ":", " 4", "[/THINK]", "Score", ":", " 2"),
    ("<|channel|>", "analysis", "<|message|>", "Score", ":", " 4", "<|end|>", "<|start|>", "assistant", "<|channel|>",
     "final", "<|message|>", "Score", ":", " 2"),
    ("<|START_THINKING|>", "4", "<|END_THINKING|>", "<|START_RESPONSE|>", "Score", ":", " 2", "<|END_RESPONSE|>"),
    ("<seed:think>", "4", "</seed:think>", "Score", ":", " 2"),
    ("◁think▷", "4", "◁/think▷", "Score", ":", " 2"),
    ("Score", ":", " 2", "<|im_end|>"),
    ("Score", ":", " 2", "<|im_end|>", "\n", "<|im_start|>", "user", "\n", "Score", ":", " 5"),
]  # fmt: skip


@pytest.mark.parametrize("texts", REASONED, ids=lambda texts: "".join(texts)[:30])
def test_the_choice_is_that_of_the_answer_and_not_of_the_reasoning(texts: tuple[str, ...]) -> None:
    assert read_choices(said(*texts), TEN, ("Score",)) is not None
    assert masses_after(said(*texts), "Score") == pytest.approx({"2": 0.99})


def masses_after(found: Reply, *labels: str, choices: list[str] = TEN) -> dict[str, float]:
    logprobs = read_choices(found, choices, labels)
    assert logprobs is not None
    return {choice: math.exp(lp) for choice, lp in zip(choices, logprobs, strict=True) if lp > -math.inf}


def test_a_servers_own_text_says_where_the_answer_is_that_its_tokens_do_not_mark() -> None:
    tokens = ("analysis", "Score", ":", " 4", "assistant", "final", "Score", ":", " 2")
    assert masses_after(said(*tokens, content="Score: 2"), "Score") == pytest.approx({"2": 0.99})
    apart = Reply(Message(None, reasoning_content="4"), "stop", said("4").logprobs)
    with pytest.raises(NoReading, match="stops inside its reasoning"):
        read_choices(apart, TEN, ("Score",))


@pytest.mark.parametrize(
    "texts",
    [
        ("<think>", "A", " is", " short"),
        ("<|channel|>", "analysis", "<|message|>", "Better", ":", " A"),
        ("[THINK]", "Better", ":", " A"),
    ],
)
def test_reasoning_that_never_ends_names_no_choice(texts: tuple[str, ...]) -> None:
    for finish in ("stop", None):
        with pytest.raises(NoReading, match="stops inside its reasoning"):
            read_choices(said(*texts, finish=finish), ["A", "B"], ("Better",))


@pytest.mark.parametrize(
    "texts",
    [
        ("A", " better", " answer", " would", " be", " longer"),
        ("A", "nswer"),
        ("Better", ":", " A", "nswer"),
        ("Better", ":", " A", ",", " B"),
        ("A", " is", " B", "etter"),
    ],
)
def test_a_sentence_names_no_choice(texts: tuple[str, ...]) -> None:
    assert read_choices(said(*texts), ["A", "B"], ("Better",)) is None


@pytest.mark.parametrize(
    "rest",
    [(".5",), (".", "5"), ("/", "10"), ("/", "4"), ("/", "5", "0"), ("/", "5", ".5"), ("/", "5", "/", "5"), ("/",),
     ("/", "5", " or", " 3", "/", "5"), ("0",), (" to", " 5"), ("½",), (" %",)],
)  # fmt: skip
def test_a_number_that_goes_on_in_another_token_is_another_number(rest: tuple[str, ...]) -> None:
    assert read_choices(said("Score", ":", " 4", *rest), ["3", "4", "5"], ("Score",)) is None


@pytest.mark.parametrize(
    "texts",
    [
        ("Score", ":", " 4", "/", "5"),
        ("Score", ":", " 4", " /", " 5", "."),
        ("4", "/", "5"),
        ("Score", ":", " **", "4", "**/", "5", "\n", "\n", "Fine"),
        ("Score", ":", " 4", "/", "5", " because", " it", " is", " fine"),
        ("**", "Score", "**", "\n", "4", "/", "5"),
    ],
    ids="".join,
)
def test_a_number_with_its_scales_top_is_that_number(texts: tuple[str, ...]) -> None:
    found = read_choices(said(*texts), ["3", "4", "5"], ("Score",))
    assert found is not None and [math.exp(lp) for lp in found] == pytest.approx([0, 0.99, 0])
    assert read_choices(said(*texts), ["3", "4"], ("Score",)) is None, "the scale has another top"
    with pytest.raises(NoReading, match="cut off"):  # the scale might have gone on: 4/50
        read_choices(said("Score", ":", " 4", "/", "5", finish="length"), ["4", "5"], ("Score",))


def test_a_break_after_a_choice_says_that_it_has_ended() -> None:
    assert masses_after(said("Score", ":", " 1", "\n", finish="length"), "Score") == pytest.approx({"1": 0.99})
    stripped = said("Score", ":", " 1", "\n", finish="length", content="Score: 1")
    assert masses_after(stripped, "Score") == pytest.approx({"1": 0.99})


def test_tokens_that_are_those_of_another_text_are_a_broken_reply() -> None:
    for content in ("Score: 2", "2", "I will not say."):
        with pytest.raises(NoReading, match="not those of its text"):
            read_choices(said("Score", ":", " 5", content=content), TEN, ("Score",))
    assert masses_after(said("Score", " :", " 5", content="Score: 5"), "Score") == pytest.approx({"5": 0.99})


@pytest.mark.parametrize("finish", ["length", "max_tokens", "MAX_TOKENS", "content_filter", "error", "tool_calls"])
def test_a_reply_that_was_cut_off_has_no_choice_and_says_why(finish: str) -> None:
    with pytest.raises(NoReading, match=f"cut off \\({finish.lower()}\\)"):
        read_choices(said("Score", ":", " 1", finish=finish), TEN, ("Score",))


@pytest.mark.parametrize("finish", [None, "", "stop", "eos_token", "eos", "end_turn", "stop_sequence"])
def test_a_whole_reply_has_its_choice(finish: str | None) -> None:
    assert masses_after(said("Score", ":", " 1", finish=finish), "Score") == pytest.approx({"1": 0.99})


def test_a_reply_that_explains_a_choice_until_it_is_cut_off_has_named_it() -> None:
    tokens = ("Score", ":", " 4", "\n", "\n", "The", " answer")
    assert masses_after(said(*tokens, finish="length"), "Score") == pytest.approx({"4": 0.99})
    with pytest.raises(NoReading, match="content_filter"):
        read_choices(said(*tokens, finish="content_filter"), TEN, ("Score",))


@pytest.mark.parametrize("logprob", [3.0, 800.0, 0.7, math.nan, math.inf])
@pytest.mark.parametrize("place", ["token", "listed", "elsewhere"])
def test_a_number_that_is_no_log_probability_is_a_broken_reply(logprob: float, place: str) -> None:
    def broken(text: str, at: str) -> Token:
        own = logprob if place == at else -0.1
        return Token(text, own, [Alternative("5", logprob if place == "listed" and at == "token" else -3.0)])

    found = Reply(Message("Score: 4"), "stop", Logprobs([broken("Score:", "elsewhere"), broken(" 4", "token")]))
    with pytest.raises(NoReading, match="broken reply"):
        read_choices(found, TEN, ("Score",))


def test_choices_with_more_than_all_of_the_probability_are_a_broken_reply() -> None:
    found = reply((" 4", {" 4": 0.9, "3": 0.9}))
    with pytest.raises(NoReading, match="broken reply"):
        read_choices(found, TEN, ("Score",))


def test_a_log_probability_of_no_probability_is_one() -> None:
    found = Reply(
        Message("4"), "stop", Logprobs([Token("4", -0.5, [Alternative("3", -9999.0), Alternative("5", -math.inf)])])
    )
    assert masses_after(found, "Score") == pytest.approx({"4": math.exp(-0.5)})


@pytest.mark.parametrize("tops", [None, []])
def test_a_token_without_others_is_a_missing_log_probability(tops: list[Alternative] | None) -> None:
    named = Logprobs([Token("Score", -0.1, [Alternative("Score", -0.1)]), Token(":", 0.0, []), Token(" 4", -0.1, tops)])
    for found in (Logprobs([Token(" 4", -0.1, tops)]), named, Logprobs([]), Logprobs(None), None):
        with pytest.raises(NoLogprobs):
            read_choices(Reply(Message("Score: 4"), "stop", found), TEN, ("Score",))


@pytest.mark.parametrize("space", ["Ġ", "▁"])
def test_tokens_in_the_vocabularys_own_spelling_are_the_texts_that_they_stand_for(space: str) -> None:
    found = reply(
        ("Score", {"Score": 0.9}), (":", {":": 0.9}), (f"{space}4", {f"{space}4": 0.5, "4": 0.2, f"{space}3": 0.1})
    )
    found = Reply(Message("Score: 4"), "stop", found.logprobs)
    assert masses_after(found, "Score") == pytest.approx({"4": 0.7, "3": 0.1})


def test_byte_level_spelling_holds_for_breaks_and_other_scripts() -> None:
    found = Reply(Message("评分\n4"), "stop", said("è¯ĦåĪĨ", "Ċ", "4").logprobs)
    assert masses_after(found, "评分") == pytest.approx({"4": 0.99})
    found = Reply(Message("Score:\n4"), "stop", said("Score", ":", "<0x0A>", "4", "▁").logprobs)
    assert masses_after(found, "Score") == pytest.approx({"4": 0.99})


def test_the_bytes_of_a_token_are_its_text() -> None:
    four = Token("Ġ4", -0.5, [Alternative("Ġ5", -1.5, list(b" 5"))], list(b" 4"))
    assert masses_after(Reply(Message("4"), "stop", Logprobs([four])), "Score") == pytest.approx(
        {"4": math.exp(-0.5), "5": math.exp(-1.5)}
    )
    halves = [Token("?", -0.1, [Alternative("?", -0.1)], [part]) for part in "评".encode()]
    rest = said(":", " 4").logprobs
    assert rest is not None and rest.content is not None
    found = Reply(Message("评: 4"), "stop", Logprobs([*halves, *rest.content]))
    assert masses_after(found, "评") == pytest.approx({"4": 0.99})


def test_a_text_with_such_signs_of_its_own_keeps_them() -> None:
    assert masses_after(said("Ġ", ":", " 4", content="Ġ: 4"), "Ġ") == pytest.approx({"4": 0.99})


def test_words_count_in_any_case_and_with_signs_around_them() -> None:
    word = ("Unsafe", {"Unsafe": 0.6, "unsafe": 0.1, "safe": 0.2})
    found = reply(("Verdict", {"Verdict": 1.0}), (": **", {": **": 1.0}), word, ("**.", {"**.": 1.0}))
    assert masses_after(found, "Verdict", choices=["safe", "unsafe"]) == pytest.approx({"unsafe": 0.7, "safe": 0.2})


def test_a_token_that_holds_more_than_the_choice_counts_for_it() -> None:
    found = reply(("Score", {"Score": 1.0}), (": 1", {": 1": 0.6, ": 3": 0.3}), ("\n\n", {"\n\n": 0.9, "0": 0.1}))
    assert masses_after(found, "Score") == pytest.approx({"1": 0.54, "3": 0.3, "10": 0.06})
    found = reply(("1\n\nThe", {"1\n\nThe": 0.6, "2": 0.3}), (" answer", {" answer": 1.0}))
    assert read_choices(found, TEN, ("Score",)) is None


def test_the_one_criterion_is_read_among_the_others() -> None:
    found = said("accuracy", ":", " 4", "\n", "clarity", ":", " 2")
    assert masses_after(found, "clarity") == pytest.approx({"2": 0.99})
    assert masses_after(found, "accuracy") == pytest.approx({"4": 0.99})
    assert read_choices(said("4"), TEN, ("clarity",), alone=False) is None
