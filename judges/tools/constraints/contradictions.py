"""Constraints of one prompt that no answer can follow together."""

import math
import re
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any, NamedTuple

from console.output import counted
from judges.tools.constraints.kinds import shown

JSON_STARTS = set('{["-0123456789tfn`')
Given = Sequence[tuple[str, dict[str, Any]]]
"""The kind and the checked settings of each constraint."""


class Bound(NamedTuple):
    """How much of something an answer may have."""

    of: tuple[str, ...]
    low: float
    high: float
    kind: str


class Text(NamedTuple):
    """A text that must stand in an answer."""

    text: str
    kind: str


def contradictions(given: Given) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield two kinds of a prompt that contradict each other, and how."""
    texts = [text for kind, settings in given for text in _texts(kind, settings)]
    bounds = [bound for kind, settings in given for bound in _bounds(kind, settings)]
    for of in dict.fromkeys(bound.of for bound in bounds):
        these = [bound for bound in bounds if bound.of == of]
        these += [Bound(of, _amount(of, text.text), math.inf, text.kind) for text in texts]
        # the tightest two bounds; if they agree, all do
        low, high = max(these, key=lambda bound: bound.low), min(these, key=lambda bound: bound.high)
        if low.low > high.high:
            yield _said(low.kind, high.kind, f"at least {low.low} and at most {counted(int(high.high), ' '.join(of))}")
    yield from _words(given, texts)
    yield from _twice(given)
    yield from _forms(dict(given), texts)  # of two of a kind the last counts


def _said(first: str, second: str, how: str) -> tuple[tuple[str, str], str]:
    return (first, second), f"{first} and {second} contradict each other: {how}"


def _texts(kind: str, settings: dict[str, Any]) -> Iterator[Text]:
    names = ("end_phrase", "prompt_to_repeat", "postscript_marker", "section_spliter", "text")
    if kind != "detectable_format:multiple_sections" or settings["num_sections"]:
        yield from (Text(settings[name], kind) for name in names if name in settings)
    yield from (Text(word, kind) for word in settings.get("keywords", ()))


def _bounds(kind: str, settings: dict[str, Any]) -> Iterator[Bound]:
    def related(of: tuple[str, ...], relation: str, n: int) -> Bound:
        # the only other relation of IFEval is "less than"
        return Bound(of, n, math.inf, kind) if relation == "at least" else Bound(of, 0, n - 1, kind)

    match kind:
        case "length_constraints:number_words":
            yield related(("words",), settings["relation"], settings["num_words"])
        case "judgeloop:at_most_words":
            yield Bound(("words",), 0, settings["num_words"], kind)
        case "length_constraints:number_sentences":
            yield related(("sentences",), settings["relation"], settings["num_sentences"])
        case "keywords:frequency":
            yield related(("times", repr(settings["keyword"].lower())), settings["relation"], settings["frequency"])
        case "keywords:letter_frequency":
            letter = repr(settings["letter"].lower())
            yield related(("times", letter), settings["let_relation"], settings["let_frequency"])
        case "change_case:capital_word_frequency":
            yield related(("words in capitals",), settings["capital_relation"], settings["capital_frequency"])
        case "change_case:english_lowercase":
            yield Bound(("words in capitals",), 0, 0, kind)
        case "punctuation:no_comma":
            yield Bound(("times", "','"), 0, 0, kind)
        case "length_constraints:number_paragraphs" | "length_constraints:nth_paragraph_first_word":
            n = settings["num_paragraphs"]
            yield Bound(("paragraphs, parted", "by ***" if len(settings) == 1 else "by an empty line"), n, n, kind)
        case "detectable_format:number_bullet_lists":
            yield Bound(("bullet points",), settings["num_bullets"], settings["num_bullets"], kind)


def _amount(of: tuple[str, ...], text: str) -> int:
    """Return how much of something a text has that must stand in the answer."""
    match of:
        case ("words",):
            return len(re.findall(r"\w+", text))
        case ("times", quoted):
            return text.lower().count(quoted[1:-1])  # without repr's quotation marks
    return 0


def _words(given: Given, texts: Sequence[Text]) -> Iterator[tuple[tuple[str, str], str]]:
    for kind, settings in given:
        for word in settings.get("forbidden_words", ()):
            for text in texts:
                if re.search(rf"\b{word}\b", text.text, re.IGNORECASE):  # unescaped, as IFEval looks for it
                    yield _said(kind, text.kind, f"{shown(word)} is forbidden and asked for")


def _twice(given: Given) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield two languages that are asked for, and two ends."""
    languages = [(settings["language"], kind) for kind, settings in given if "language" in settings]
    # IFEval's checkers of a case also want langdetect to find English
    languages += [("en", kind) for kind, _ in given if kind.startswith("change_case:english")]
    ends = [(settings["end_phrase"].strip().lower(), kind) for kind, settings in given if "end_phrase" in settings]
    for (first, kind), (second, other) in combinations(languages, 2):
        if first != second:
            yield _said(kind, other, f"the languages {first} and {second}")
    for (first, kind), (second, other) in combinations(ends, 2):
        if not first.endswith(second) and not second.endswith(first):  # a longer end can have the shorter in it
            yield _said(kind, other, f"the ends {shown(first)} and {shown(second)}")


def _forms(given: dict[str, dict[str, Any]], texts: Sequence[Text]) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield contradictions between the forms that two kinds ask for."""
    capital, lowercase = "change_case:english_capital", "change_case:english_lowercase"
    options, sections = "detectable_format:constrained_response", "detectable_format:multiple_sections"
    repeat, quotation, as_json = "combination:repeat_prompt", "startend:quotation", "detectable_format:json_format"
    if capital in given and lowercase in given:
        yield _said(capital, lowercase, "all letters in capitals, and none")
    for case, is_right in ((capital, str.isupper), (lowercase, str.islower)):
        if case in given and options in given:
            yield _said(case, options, "its options have letters of both cases")
        if case in given and any(t.kind == sections and not is_right(t.text) for t in texts):
            yield _said(case, sections, f"{shown(given[sections]['section_spliter'])} has letters of the other case")
    first = given[repeat]["prompt_to_repeat"].strip() if repeat in given else ""
    if first and quotation in given and not first.startswith('"'):
        yield _said(repeat, quotation, "it starts with the prompt, and with a quotation mark")
    if first and as_json in given and first[0] not in JSON_STARTS:
        yield _said(repeat, as_json, "it starts with the prompt, and with JSON")
