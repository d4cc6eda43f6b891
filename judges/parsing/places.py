"""Finds the places in a reply that give a verdict: after the rubric's label, or unmistakable without it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from judges.parsing import doubts, patterns
from judges.parsing.values import NO_VERDICT, claimed_value
from judges.rubrics.rubric import Rubric

LOOKED_AT = 40
"""Characters before a label that are read. A line that opens with a label has fewer before it."""
LONGEST_ALONE = 120
OTHER_LABELS = {
    "pair": (
        "winner", "better answer", "better response", "best", "preferred", "preferred answer", "preferred response",
        "preference", "choice", "decision", "verdict", "judgment", "judgement", "conclusion", "final answer", "result",
    ),
    "word": ("verdict", "conclusion", "assessment", "judgment", "judgement", "decision", "result", "classification"),
    "number": ("rating", "grade", "mark", "score", "points", "verdict", "evaluation", "overall", "result"),
}  # fmt: skip
"""Other words for the rubric's label. A number after one also needs its scale."""


@dataclass(frozen=True)
class Claim:
    """A place in a reply that gives a verdict, or should give one and does not."""

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
    """Yield the verdicts after `label`, and places that lack one."""
    forms = patterns.patterns_of(label, tuple(rubric.values))
    for name in forms.label.finditer(text):
        start = name.start()
        far = max(0, start - LOOKED_AT)
        line = text.rfind("\n", far, start) + 1
        before = text[line or far : start]
        opens_line = bool((line or far == 0) and patterns.OPENS_LINE.fullmatch(before))
        if before.endswith("/") or not (opens_line or patterns.BEFORE_LABEL.search(before)):
            continue
        match = forms.claim.match(text, name.end())
        if match is None:
            continue
        if _is_verdict(match, text, opens_line, forms, bool(rubric.values)):
            sentence, above = _context(text, start, opens_line)
            if not doubts.not_own(sentence, above):
                scale = patterns.NAMED_SCALE.search(sentence) or patterns.NAMED_SCALE.search(above)
                final = bool(patterns.FINAL.search(before))
                yield Claim(start, match.end(), *claimed_value(match, rubric, scale), opens_line, final)
        elif opens_line and match["separator"] not in ("", "is"):
            yield Claim(start, match.end(), None, NO_VERDICT, opens_line)


def _context(text: str, start: int, opens_line: bool) -> tuple[str, str]:
    """Return the words before a label in its sentence, and the line above a label that opens one."""
    if not opens_line:
        return doubts.sentence_before(text, start), ""
    above = text[max(0, start - doubts.LOOKED_AT) : start].rstrip().rpartition("\n")
    return "", above[2]


def _is_verdict(match: re.Match[str], text: str, opens_line: bool, forms: patterns.Patterns, is_word: bool) -> bool:
    """Return whether the text after a label is a verdict and not the start of something else."""
    verdict, separator = match["verdict"], match["separator"]
    if verdict is None:
        return False
    if not separator or "\n" in match["gap"]:  # a heading: its verdict fills a line
        return opens_line and bool(patterns.REST_IS_EMPTY.match(text, match.end()))
    if "<" in match["gap"] and ">" not in text[match.start("gap") : match.end() + 8]:
        return False  # less than
    if is_word or verdict[0].isalpha() or separator[0].isalpha():
        return bool(forms.ends.match(text, match.end()))
    return True


def _marked(text: str, rubric: Rubric) -> Iterator[Claim]:
    """Yield verdicts in double brackets or boxes. If they agree, one of them must be named as the verdict."""
    forms = patterns.patterns_of(rubric.label, tuple(rubric.values))
    marks = list(forms.marked.finditer(text))
    claims = [Claim(match.start(), match.end(), *claimed_value(match, rubric)) for match in marks]
    if differ(claims) or any(_settles(text, match, forms) for match in marks[:1] + marks[-1:]):
        yield from claims


def _settles(text: str, match: re.Match[str], forms: patterns.Patterns) -> bool:
    """Return whether a verdict without its label is a sentence of its own, or named as the verdict."""
    before = doubts.sentence_before(text, match.start())
    lead = patterns.LEADS_TO.fullmatch(before)
    return bool(lead and forms.ends.match(text, match.end()))


def _alone(text: str, rubric: Rubric) -> Iterator[Claim]:
    """Yield a verdict that is the whole reply, or that fills its last line unmistakably."""
    forms = patterns.patterns_of(rubric.label, tuple(rubric.values))
    whole, end = text.strip(), len(text.rstrip())
    for shown in dict.fromkeys((whole, whole[whole.rfind("\n") + 1 :])):
        alone = forms.alone.fullmatch(shown) if len(shown) <= LONGEST_ALONE else None
        if alone and (shown == whole or alone["named"] or len(alone["verdict"]) > 1 < len(rubric.values)):
            yield Claim(end - len(shown), end, *claimed_value(alone, rubric))


def _given(text: str, rubric: Rubric) -> Iterator[Claim]:
    """Yield verdicts in sentences: I would give this answer 4 points out of 5, answer A is better."""
    forms = patterns.patterns_of(rubric.label, tuple(rubric.values))
    if rubric.values and rubric.kind != "pair":
        return
    for pattern in forms.given:
        sentences = list(pattern.finditer(text))
        for match in sentences:
            lead = patterns.LEADS_IN.fullmatch(doubts.sentence_before(text, match.start()))
            sure = rubric.values or match["scale"] or match["points"]
            sure = sure or (
                patterns.NAMES_SCORE.search(match[0])
                if pattern is forms.given[0]
                else len(sentences) == 1 and _closes(match)
            )
            if lead and sure and patterns.SENTENCE_ENDS.match(text, match.end()):
                yield Claim(match.start(), match.end(), *claimed_value(match, rubric))


def _closes(match: re.Match[str]) -> bool:
    """Return whether a sentence gives the answer's score in the usual words and ends the reply."""
    return bool(patterns.SCORE_IN_WORDS.search(match[0])) and not re.search(r"\w", match.string[match.end() :])


def _otherwise_labelled(text: str, rubric: Rubric) -> Iterator[Claim]:
    kind = rubric.kind if rubric.kind == "pair" else "word" if rubric.values else "number"
    for label in OTHER_LABELS[kind]:
        for claim in labelled(text, label, rubric):
            scaled = re.search(r"(?:/|out of) ?\d+\W*$", text[claim.start : claim.end])
            before = doubts.sentence_before(text, claim.start).removesuffix("the ")
            if (claim.opens_line or patterns.LEADS_IN.fullmatch(before)) and (rubric.values or scaled):
                yield claim


WITHOUT_LABEL = (_marked, _alone, _given, _otherwise_labelled)
"""Kinds of verdicts without the rubric's label, in the order in which they are tried."""
