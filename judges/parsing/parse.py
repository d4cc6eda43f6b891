"""Reads the verdict in a judge's reply, or returns the reason why there is none.

Only the reply is read, never the prompt, so an answer that says "Score: 5" scores nothing. The rules, in order:

1. Only the answer counts, not the model's reasoning and nothing after the end of its turn (`records.reasoning`).
2. A verdict after the rubric's label comes first. One that opens a line, as the judge is asked to write it, outranks
   one within a sentence. The last one counts, because an earlier one may be quoted. Text in quotation marks is quoted
   (`judges.parsing.claims`).
3. Without the label, only unmistakable verdicts are read: one in brackets that ends the reply, one alone, a sentence
   that gives it, or another word for the label.
4. A verdict that goes on, or is hedged, denied, supposed, reported or taken back, does not count
   (`judges.parsing.doubts`). If two verdicts contradict each other, there is none.
5. A score does not count if the reply puts it on another scale (`judges.parsing.scales`), if it is a part's score
   beside that of the whole (`judges.parsing.wholes`), or if the judge refuses to judge (`judges.parsing.refusals`).
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from judges.parsing.claims import text_verdicts
from judges.parsing.fields import begins_as_json, json_verdicts, object_in_text
from judges.parsing.text import plain
from judges.parsing.values import NO_VERDICT, NoVerdict, number, on_scale, word_value
from judges.rubrics.rubric import Rubric
from records.reasoning import answer_span

PARSER_VERSION = 5
"""Part of every judge's fingerprint. Raise it whenever a reply may be read differently."""


@dataclass(frozen=True)
class Verdict:
    """The verdict of one reply, or the reason why it has none."""

    value: float | None
    error: str | None = None
    criteria: dict[str, float] | None = None


def parse_reply(reply: str, rubric: Rubric, *, structured: bool = False) -> Verdict:
    """Return the verdict of `reply` on `rubric`. Any text gives a score on its scale, or a reason for none.

    Takes time linear in the length of the reply, except for a rubric with its own pattern.
    """
    span = answer_span(reply, rubric.reasoning_tags)
    if span is None:
        return Verdict(None, "the reply stops inside its reasoning")
    verdicts = _verdicts(reply[span], rubric, structured=structured)
    if isinstance(verdicts, NoVerdict):
        return Verdict(None, verdicts.reason)
    return Verdict(rubric.weighted(verdicts), None, verdicts if rubric.criteria else None)


def _verdicts(answer: str, rubric: Rubric, *, structured: bool) -> dict[str, float] | NoVerdict:
    if structured:
        return json_verdicts(answer, rubric)
    if rubric.pattern:
        return _pattern_verdicts(plain(answer), rubric)
    verdicts = object_in_text(answer, rubric) if begins_as_json(answer) else None
    return text_verdicts(plain(answer, rubric.high), rubric) if verdicts is None else verdicts


def _pattern_verdicts(text: str, rubric: Rubric) -> dict[str, float] | NoVerdict:
    """Return the verdict of the last match of the rubric's own pattern."""
    verdict: str | None = None
    for match in _own_pattern(rubric.pattern).finditer(text):
        verdict = match["verdict"]
    if not verdict:
        return NoVerdict(NO_VERDICT)
    value, error = word_value(verdict, rubric) if rubric.values else on_scale(number(verdict.strip()), rubric)
    return {rubric.label: value} if value is not None else NoVerdict(str(error))


@lru_cache(maxsize=64)
def _own_pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
