"""Reads the verdict in a judge's reply, or says why there is none.

Only the reply is looked at, never the prompt, so an answer that says "Score: 5" scores nothing. The rules, in order:

1. What counts is the answer: not the model's reasoning, and nothing after its turn has ended (`records.reasoning`).
2. A verdict after the rubric's label counts before any other. One that opens a line, as the judge is asked to give it,
   outranks one within a sentence, and the last one counts, because an earlier one may be quoted, and what stands in
   quotation marks is (`judges.parsing.claims`).
3. Without the label, what can be nothing else is read: a verdict in brackets that ends the reply, one alone, a sentence
   that gives it, or another word for the label.
4. A verdict that goes on, is hedged, denied, supposed, reported or taken back is none (`judges.parsing.doubts`). Where
   two speak against each other there is none.
5. A score is none where the reply says that it is on another scale (`judges.parsing.scales`), or that of a part beside
   the whole's (`judges.parsing.wholes`), or where the judge refuses to judge (`judges.parsing.refusals`).
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from judges.parsing.claims import text_verdicts
from judges.parsing.fields import begins_as_json, json_verdicts, object_in_text
from judges.parsing.text import plain
from judges.parsing.values import NO_VERDICT, number, on_scale, word_value
from judges.rubrics.rubric import Rubric
from records.reasoning import answer_span

PARSER_VERSION = 5
"""Part of every judge's fingerprint; raised whenever a reply may be read differently."""


@dataclass(frozen=True)
class Verdict:
    """What one reply says, or the reason why it says nothing."""

    value: float | None
    error: str | None = None
    criteria: dict[str, float] | None = None


def parse_reply(reply: str, rubric: Rubric, *, structured: bool = False) -> Verdict:
    """Return the verdict that `reply` gives on `rubric`; any text whatever gives a score on its scale or a reason.

    Takes time linear in the length of the reply, save for a rubric with a pattern of its own.
    """
    span = answer_span(reply, rubric.reasoning_tags)
    if span is None:
        return Verdict(None, "the reply stops inside its reasoning")
    found = _verdicts(reply[span], rubric, structured=structured)
    if isinstance(found, str):
        return Verdict(None, found)
    return Verdict(rubric.weighted(found), None, found if rubric.criteria else None)


def _verdicts(said: str, rubric: Rubric, *, structured: bool) -> dict[str, float] | str:
    if structured:
        return json_verdicts(said, rubric)
    if rubric.pattern:
        return _pattern_verdicts(plain(said), rubric)
    found = object_in_text(said, rubric) if begins_as_json(said) else None
    return text_verdicts(plain(said, rubric.high), rubric) if found is None else found


def _pattern_verdicts(text: str, rubric: Rubric) -> dict[str, float] | str:
    """Return the verdict of the last match of the rubric's own pattern."""
    said: str | None = None
    for match in _own_pattern(rubric.pattern).finditer(text):
        said = match["verdict"]
    if not said:
        return NO_VERDICT
    value, error = word_value(said, rubric) if rubric.values else on_scale(number(said.strip()), rubric)
    return {rubric.label: value} if value is not None else str(error)


@lru_cache(maxsize=64)
def _own_pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
