"""Fills a rubric's prompt with texts that must not pose as instructions to the judge."""

from typing import TYPE_CHECKING

from judges.options import Reading
from judges.rubrics.fences.code import PLACEHOLDER as PLACEHOLDER
from judges.rubrics.fences.code import filled
from judges.rubrics.fences.code import tags_in as tags_in
from judges.rubrics.fences.near_misses import REASONING as REASONING
from judges.rubrics.fences.near_misses import taken_apart as taken_apart
from records.rows import Message

if TYPE_CHECKING:
    from judges.rubrics.rubric import Rubric

OURS = ("closing", "criteria")
"""The placeholders that the rubric itself fills."""


def fill(rubric: "Rubric", read: Reading, texts: dict[str, str]) -> list[Message]:
    """Return the chat that asks the judge, with `texts` in the rubric's placeholders.

    All placeholders are filled in one pass, so braces in a text are text. The tags around the texts have a code that
    no text knows. If a text contains something that a model might read as one of the rubric's own tags, that is taken
    apart. The engine does the same with its model's special tokens.
    """
    parts = {name: taken_apart(texts.get(name, ""), rubric.tags) for name in rubric.placeholders}
    parts["closing"] = closing_of(rubric, read)
    if rubric.criteria:
        parts["criteria"] = "\n".join(f"- {c.name} (weight {c.weight:g}): {c.description}" for c in rubric.criteria)
    return [{"role": "user", "content": filled(rubric.prompt, parts, OURS, coded=rubric.coded_tags)}]


def closing_of(rubric: "Rubric", read: Reading) -> str:
    """Return the instructions on the form of the reply. Decisions have none: their questions follow the prompt."""
    return "" if read == "decisions" else str(getattr(rubric.closing, read))


def missing(rubric: "Rubric", texts: dict[str, str]) -> str | None:
    """Return the reason why `texts` cannot fill the rubric's prompt, or None if they can."""
    for name in sorted(rubric.placeholders - texts.keys() - set(OURS)):
        return f"the rubric '{rubric.name}' shows a {name}, and the row has none"
    return None
