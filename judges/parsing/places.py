"""Finds the places in a reply that give a verdict: after the rubric's label, or where it can be nothing else."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from judges.parsing import doubts, patterns
from judges.parsing.values import NO_VERDICT, claimed_value
from judges.rubrics.rubric import Rubric

LOOKED_AT = 40
"""Characters before a label that are looked at; a line that opens with one has fewer before it."""
LONGEST_ALONE = 120
OTHER_LABELS = {
    "pair": (
        "winner", "better answer", "better response", "best", "preferred", "preferred answer", "preferred response",
        "preference", "choice", "decision", "verdict", "judgment", "judgement", "conclusion", "final answer", "result",
    ),
    "word": ("verdict", "conclusion", "assessment", "judgment", "judgement", "decision", "result", "classification"),
    "number": ("rating", "grade", "mark", "score", "points", "verdict", "evaluation", "overall", "result"),
}  # fmt: skip
"""What a judge may call the verdict where it does not keep to the rubric's label; a number needs its scale too."""


@dataclass(frozen=True)
class Claim:
    """A place in a reply that gives a verdict, or that should and does not."""

    start: int
    end: int
    value: float | None
    error: str | None
    opens_line: bool = False
    is_final: bool = False
    """Whether it is said to be the whole's, and not a part's."""


def differ(claims: list[Claim]) -> bool:
    """Return whether two of `claims` have different values."""
    return len({claim.value for claim in claims if claim.value is not None}) > 1


def labelled(text: str, label: str, rubric: Rubric) -> Iterator[Claim]:
    """Yield the verdicts after `label`, and places where one should stand and does not."""
    found = patterns.patterns_of(label, tuple(rubric.values))
    for name in found.label.finditer(text):
        start = name.start()
        far = max(0, start - LOOKED_AT)
        line = text.rfind("\n", far, start) + 1
        before = text[line or far : start]
        opens_line = bool((line or far == 0) and patterns.OPENS_LINE.fullmatch(before))
        if before.endswith("/") or not (opens_line or patterns.BEFORE_LABEL.search(before)):
            continue
        said = found.claim.match(text, name.end())
        if said is None:
            continue
        if _is_verdict(said, text, opens_line, found, bool(rubric.values)):
            sentence, above = _context(text, start, opens_line)
            if not doubts.not_own(sentence, above):
                scale = patterns.NAMED_SCALE.search(sentence) or patterns.NAMED_SCALE.search(above)
                final = bool(patterns.FINAL.search(before))
                yield Claim(start, said.end(), *claimed_value(said, rubric, scale), opens_line, final)
        elif opens_line and said["separator"] not in ("", "is"):
            yield Claim(start, said.end(), None, NO_VERDICT, opens_line)


def _context(text: str, start: int, opens_line: bool) -> tuple[str, str]:
    """Return the words before a label in its sentence, and the line above a label that opens one."""
    if not opens_line:
        return doubts.sentence_before(text, start), ""
    above = text[max(0, start - doubts.LOOKED_AT) : start].rstrip().rpartition("\n")
    return "", above[2]


def _is_verdict(said: re.Match[str], text: str, opens_line: bool, found: patterns.Patterns, is_word: bool) -> bool:
    """Return whether what follows a label is a verdict and not the beginning of something else."""
    verdict, separator = said["verdict"], said["separator"]
    if verdict is None:
        return False
    if not separator or "\n" in said["gap"]:  # a heading: its verdict fills a line
        return opens_line and bool(patterns.REST_IS_EMPTY.match(text, said.end()))
    if "<" in said["gap"] and ">" not in text[said.start("gap") : said.end() + 8]:
        return False  # less than
    if is_word or verdict[0].isalpha() or separator[0].isalpha():
        return bool(found.ends.match(text, said.end()))
    return True


def _marked(text: str, rubric: Rubric) -> Iterator[Claim]:
    """Yield verdicts in double brackets or boxes; where they agree, only if one of them is said to be the verdict."""
    found = patterns.patterns_of(rubric.label, tuple(rubric.values))
    marks = list(found.marked.finditer(text))
    claims = [Claim(said.start(), said.end(), *claimed_value(said, rubric)) for said in marks]
    if differ(claims) or any(_settles(text, said, found) for said in marks[:1] + marks[-1:]):
        yield from claims


def _settles(text: str, said: re.Match[str], found: patterns.Patterns) -> bool:
    """Return whether a verdict without its label is a sentence of its own, or said to be the verdict."""
    before = doubts.sentence_before(text, said.start())
    lead = patterns.LEADS_TO.fullmatch(before)
    return bool(lead and found.ends.match(text, said.end()))


def _alone(text: str, rubric: Rubric) -> Iterator[Claim]:
    """Yield a verdict that is all of the reply, or that fills its last line and can be nothing else there."""
    found = patterns.patterns_of(rubric.label, tuple(rubric.values))
    whole, end = text.strip(), len(text.rstrip())
    for shown in dict.fromkeys((whole, whole[whole.rfind("\n") + 1 :])):
        alone = found.alone.fullmatch(shown) if len(shown) <= LONGEST_ALONE else None
        if alone and (shown == whole or alone["named"] or len(alone["verdict"]) > 1 < len(rubric.values)):
            yield Claim(end - len(shown), end, *claimed_value(alone, rubric))


def _given(text: str, rubric: Rubric) -> Iterator[Claim]:
    """Yield verdicts in sentences: I would give this answer 4 points out of 5; answer A is better."""
    found = patterns.patterns_of(rubric.label, tuple(rubric.values))
    if rubric.values and rubric.kind != "pair":
        return
    for pattern in found.given:
        sentences = list(pattern.finditer(text))
        for said in sentences:
            lead = patterns.LEADS_IN.fullmatch(doubts.sentence_before(text, said.start()))
            sure = rubric.values or said["scale"] or said["points"]
            sure = sure or (
                patterns.NAMES_SCORE.search(said[0])
                if pattern is found.given[0]
                else len(sentences) == 1 and _closes(said)
            )
            if lead and sure and patterns.SENTENCE_ENDS.match(text, said.end()):
                yield Claim(said.start(), said.end(), *claimed_value(said, rubric))


def _closes(said: re.Match[str]) -> bool:
    """Return whether a sentence says what the answer earns, in words that a score is given with, and ends the reply."""
    return bool(patterns.SCORE_IN_WORDS.search(said[0])) and not re.search(r"\w", said.string[said.end() :])


def _otherwise_labelled(text: str, rubric: Rubric) -> Iterator[Claim]:
    kind = rubric.kind if rubric.kind == "pair" else "word" if rubric.values else "number"
    for label in OTHER_LABELS[kind]:
        for claim in labelled(text, label, rubric):
            scaled = re.search(r"(?:/|out of) ?\d+\W*$", text[claim.start : claim.end])
            before = doubts.sentence_before(text, claim.start).removesuffix("the ")
            if (claim.opens_line or patterns.LEADS_IN.fullmatch(before)) and (rubric.values or scaled):
                yield claim


WITHOUT_LABEL = (_marked, _alone, _given, _otherwise_labelled)
"""What is looked for where the rubric's label is not there, in this order."""
