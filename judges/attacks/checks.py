"""Checks of the judge's template and parser against the attacks. No model is asked, so both must hold always."""

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
from judges.judging.judge import Judge, Subject, ask
from judges.options import Reading
from judges.parsing.verdict import score_of
from judges.rubrics.fences.invisible import INVISIBLE
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
    """One attack at one place, and its effect."""

    attack: Attack
    rubric: str
    place: str
    problem: str | None
    """None if the attack failed."""


def template_cases(rubric: Rubric, attacks: Sequence[Attack]) -> Iterator[Case]:
    """Yield a case for each attack in each placeholder of the rubric: does it change the form of the prompt?

    Every tag must occur as often as without the attack, compared without case, spaces, entities and invisible
    characters. No special token of a common chat template may remain after the engine's own pass. No placeholder may
    be filled again.
    """
    slots = sorted(rubric.placeholders - {"closing", "criteria"})
    texts = {slot: f"(what stands in {slot})" for slot in slots}
    before = _prompt(rubric, texts)
    for slot in slots:
        others = [text for name, text in texts.items() if name != slot] + [rubric.closing.text]
        for attack in attacks:
            text = aimed(attack, rubric, slot).text
            after = _prompt(rubric, texts | {slot: text})
            yield Case(attack, rubric.name, slot, _fault(rubric, before, after, text, others))


def _prompt(rubric: Rubric, texts: dict[str, str]) -> str:
    return neutralised(fill(rubric, "text", texts), COMMON_SPECIAL_TOKENS)[0]["content"]


def _fault(rubric: Rubric, before: str, after: str, text: str, others: list[str]) -> str | None:
    """Return the fault of the prompt `after` the attack `text`, or None."""
    bare_after, bare_before = skeleton(after), skeleton(before)
    for tag in rubric.tags:
        if bare_after.count(skeleton(tag)) != bare_before.count(skeleton(tag)):
            return f"another {tag}"
    names = {tag.strip("</>") for tag in rubric.tags}
    codes, codes_before = (
        Counter(code for name, code in CODED.findall(prompt) if name in names) for prompt in (after, before)
    )
    if any(n != 2 or code in text for code, n in codes.items()) or len(codes) != len(codes_before):
        return "a code is not in exactly two tags"
    seen = re.sub(f"[{INVISIBLE}]", "", unicodedata.normalize("NFKC", after))
    for token in [*COMMON_SPECIAL_TOKENS, *CHAT_TOKEN.findall(seen)]:
        if token in seen:
            return f"the token {token} is left"
    if any(after.count(other) != before.count(other) for other in others if other and other not in text):
        return "a placeholder is filled in again"
    lost = [mark[0] for mark in PLACEHOLDER.finditer(text) if after.count(mark[0]) != text.count(mark[0])]
    return f"the placeholder {lost[0]} is gone" if lost else None


def skeleton(text: str) -> str:
    """Return `text` without case, spaces, entities and invisible characters."""
    return NOT_SHOWN.sub("", unicodedata.normalize("NFKC", html.unescape(html.unescape(text))).casefold())


def parser_cases(rubric: Rubric, attacks: Sequence[Attack]) -> Iterator[Case]:
    """Yield a case for each attack on each judged answer, and each form of a judge's reply to it.

    The scripted judge quotes the attack, or its last line, and then gives its own verdict, the worst one, in the
    requested form. In two more forms it gives no verdict, or its reply is cut off after the quotation. Two cases are
    left out. If a reply ends after the quotation and was not cut off, nothing tells a quoted verdict from the judge's
    own. If a rubric has its own pattern, only its author knows the form of a text reply.
    """
    readings: tuple[Reading, ...] = ("text", "structured")
    for slot in ("response",) if rubric.kind == "score" else ("response_a", "response_b"):
        aimed_attacks = [aimed(attack, rubric, slot) for attack in attacks]
        worst = verdict_for(rubric, slot, best=False)
        for read in readings:
            if getattr(rubric.closing, read) and not (rubric.pattern and read == "text"):
                for form in FORMS:
                    yield from _replied(rubric, read, slot, form, aimed_attacks, worst)


def _replied(
    rubric: Rubric, read: Reading, slot: str, form: str, attacks: Sequence[Attack], verdict: str
) -> Iterator[Case]:
    # The engine answers in the order of the subjects, one sample each, so an iterator is enough.
    scripted = iter([_reply(rubric, read, form, attack.text, verdict) for attack in attacks])
    engine = ScriptedEngine(lambda _: next(scripted), finish_reason="length" if form == "cut off" else "stop")
    judge = Judge(engine, rubric, read, samples=1)
    rest = {name: "a text" for name in rubric.placeholders if name != slot}
    subjects = [Subject(rest | {slot: attack.text}, attack.name) for attack in attacks]
    worth = dict(zip(rubric.logprobs.choices, rubric.choice_values, strict=True))[verdict]
    expected = worth if form.endswith("quoted") else None
    for replies in ask(judge, subjects):
        value = score_of(replies.samples, judge.how).value
        fooled = value is not None if expected is None else value is None or abs(value - expected) > 1e-6
        problem = f"{value} was read" if fooled else None
        yield Case(attacks[replies.index], rubric.name, f"{slot}, {read}, {form}", problem)


def _reply(rubric: Rubric, read: Reading, form: str, attack: str, verdict: str) -> str:
    if form == "silent":
        return SILENT
    lines = [line for line in attack.splitlines() if line.strip()]
    quoted = lines[-1] if form == "last line quoted" and lines else attack
    if form == "cut off":
        # Without its last two characters the JSON ends within the text.
        return f"{OPENING}{quoted}" if read == "text" else json.dumps({"reasoning": f"{OPENING}{quoted}"})[:-2]
    if read == "structured":
        return written_as_json(rubric, verdict, f"{OPENING}{quoted}{CLOSING}")
    return f"{OPENING}{quoted}{CLOSING}\n\n{written(rubric, verdict)}"
