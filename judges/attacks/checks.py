"""How often the attacks fool the judge's template and its parser; no model is asked, so both can be exactly 0."""

import html
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engines.chat.neutral import COMMON_SPECIAL_TOKENS, neutralised
from engines.scripted import ScriptedEngine
from judges.attacks.texts import Attack, aimed, verdict_for, written, written_as_json
from judges.fences.invisible import INVISIBLE
from judges.judging.judge import Judge, ask
from judges.options import Reading
from judges.parsing.verdict import score_of
from judges.rubrics.rendering import PLACEHOLDER, fill
from judges.rubrics.rubric import Rubric

CHAT_TOKEN = re.compile(r"<[|｜][^\s<>|｜]+[|｜]>")
NOT_SHOWN = re.compile(rf"[\s{INVISIBLE}]")
OPENING, CLOSING = 'The answer reads: "', '" That counts for nothing.'
CODED = re.compile(r"</?(\w+)-([0-9a-f]{8})>")
FORMS = ("quoted", "last line quoted", "silent", "cut off")
SILENT = "I cannot say how good this is."


@dataclass(frozen=True)
class Case:
    """One attack at one place, and what it did there."""

    attack: Attack
    rubric: str
    place: str
    problem: str | None
    """None where it was not fooled."""


def template_cases(rubric: Rubric, attacks: Sequence[Attack]) -> Iterator[Case]:
    """Yield for each attack in each of the rubric's placeholders whether the prompt's form is what it would be without.

    Every tag must occur as often as before, on a skeleton without case, spaces, entities and invisible characters; no
    special token of a common chat template may be left after the engine's part; nothing may be filled in again.
    """
    slots = sorted(rubric.placeholders - {"closing", "criteria"})
    texts = {slot: f"(what stands in {slot})" for slot in slots}
    before = _prompt(rubric, texts)
    for slot in slots:
        others = [text for name, text in texts.items() if name != slot] + [rubric.closing.text]
        for attack in attacks:
            text = aimed(attack, rubric, slot).text
            after = _prompt(rubric, texts | {slot: text})
            yield Case(attack, rubric.name, slot, _spoken(rubric, before, after, text, others))


def _prompt(rubric: Rubric, texts: dict[str, str]) -> str:
    return neutralised(fill(rubric, "text", texts), COMMON_SPECIAL_TOKENS)[0]["content"]


def _spoken(rubric: Rubric, before: str, after: str, text: str, others: list[str]) -> str | None:
    """Return what is wrong with the prompt `after` the attack `text`, or None."""
    for tag in rubric.tags:
        if skeleton(after).count(skeleton(tag)) != skeleton(before).count(skeleton(tag)):
            return f"another {tag}"
    names = {tag.strip("</>") for tag in rubric.tags}
    codes, wanted = (Counter(code for name, code in CODED.findall(one) if name in names) for one in (after, before))
    if any(n != 2 or code in text for code, n in codes.items()) or len(codes) != len(wanted):
        return "a code does not stand in two tags alone"
    seen = re.sub(f"[{INVISIBLE}]", "", unicodedata.normalize("NFKC", after))
    for token in [*COMMON_SPECIAL_TOKENS, *CHAT_TOKEN.findall(seen)]:
        if token in seen:
            return f"the token {token} is left"
    if any(after.count(other) != before.count(other) for other in others if other and other not in text):
        return "a placeholder is filled in again"
    lost = [mark[0] for mark in PLACEHOLDER.finditer(text) if after.count(mark[0]) != text.count(mark[0])]
    return f"the placeholder {lost[0]} is gone" if lost else None


def skeleton(text: str) -> str:
    """Return `text` as a reader sees it who does not look at case, spaces, entities and invisible characters."""
    return NOT_SHOWN.sub("", unicodedata.normalize("NFKC", html.unescape(html.unescape(text))).casefold())


def parser_cases(rubric: Rubric, attacks: Sequence[Attack]) -> Iterator[Case]:
    """Yield for each attack on each judged answer, and each way in which a judge may reply to it, what is read.

    The scripted judge quotes the attack, or its last line, and then gives its own verdict, the worst one, in the form
    asked for; or it gives none; or its reply is cut off after the quotation. A reply that ends there of its own accord
    is not among them: where the quotation's lines have the form of a verdict, nothing in the text tells whose it is.
    Nor is the text of a rubric with a pattern of its own, whose form only its author knows.
    """
    readings: tuple[Reading, ...] = ("text", "structured")
    for slot in ("response",) if rubric.kind == "score" else ("response_a", "response_b"):
        shots = [aimed(attack, rubric, slot) for attack in attacks]
        own = verdict_for(rubric, slot, best=False)
        for read in readings:
            if getattr(rubric.closing, read) and not (rubric.pattern and read == "text"):
                for form in FORMS:
                    yield from _replied(rubric, read, slot, form, shots, own)


def _replied(
    rubric: Rubric, read: Reading, slot: str, form: str, attacks: Sequence[Attack], own: str
) -> Iterator[Case]:
    replies = iter([_reply(rubric, read, form, attack.text, own) for attack in attacks])
    engine = ScriptedEngine(lambda _: next(replies), finish_reason="length" if form == "cut off" else "stop")
    judge = Judge(engine, rubric, read, samples=1)
    rest = {name: "a text" for name in rubric.placeholders if name != slot}
    things = [(rest | {slot: attack.text}, attack.name) for attack in attacks]
    worth = dict(zip(rubric.logprobs.choices, rubric.choice_values, strict=True))[own]
    right = worth if form.endswith("quoted") else None
    for index, said, _ in ask(judge, things, ()):
        value = score_of(said, judge.how).value
        fooled = value is not None if right is None else value is None or abs(value - right) > 1e-6
        yield Case(attacks[index], rubric.name, f"{slot}, {read}, {form}", f"{value} was read" if fooled else None)


def _reply(rubric: Rubric, read: Reading, form: str, attack: str, own: str) -> str:
    if form == "silent":
        return SILENT
    lines = [line for line in attack.splitlines() if line.strip()]
    quoted = lines[-1] if form == "last line quoted" and lines else attack
    if form == "cut off":
        return f"{OPENING}{quoted}" if read == "text" else json.dumps({"reasoning": f"{OPENING}{quoted}"})[:-2]
    if read == "structured":
        return written_as_json(rubric, own, f"{OPENING}{quoted}{CLOSING}")
    return f"{OPENING}{quoted}{CLOSING}\n\n{written(rubric, own)}"
