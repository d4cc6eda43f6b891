"""Fills a rubric's prompt with texts that must not be able to speak to the judge."""

from engines.neutral import neutralise
from judges.rubric import PLACEHOLDER, Reading, Rubric
from records.rows import Message


def fill(rubric: Rubric, read: Reading, texts: dict[str, str]) -> list[Message]:
    """Return the chat that asks the judge, with `texts` in the rubric's placeholders.

    All placeholders are filled in one pass, so braces in a text are text. The rubric's own tags are taken apart where
    a text contains them; the engine does the same with its model's special tokens.
    """
    parts = {name: neutralise(text, rubric.tags) for name, text in texts.items()}
    parts["closing"] = getattr(rubric.closing, read)
    parts["criteria"] = "\n".join(f"- {c.name} (weight {c.weight:g}): {c.description}" for c in rubric.criteria)
    content = PLACEHOLDER.sub(lambda match: parts.get(match[1], ""), rubric.prompt)
    return [{"role": "user", "content": content}]


def missing(rubric: Rubric, texts: dict[str, str]) -> str | None:
    """Return why `texts` cannot fill the rubric's prompt, or None where they can."""
    for name in sorted(rubric.placeholders - texts.keys() - {"closing", "criteria"}):
        return f"the rubric '{rubric.name}' shows a {name}, and the row has none"
    return None
