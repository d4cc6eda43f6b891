"""Everything that the judge said of a row: scores, criteria as bars, both orders, replies, the evidence, the cost."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import numpy as np

from console.errors import InputError
from console.output import counted
from console.visible import one_line, visible
from tui.filters.fields import View
from tui.reading.harness import replies_in
from tui.reading.kinds import COMPARISON, JUDGMENT, PAIR
from tui.reading.table import Body
from tui.summary.statistics import bar
from tui.text import detail_text, known_number, number_text
from tui.verdicts.evidence import claims_text, constraints_text
from tui.verdicts.scale import Scale, scale_of

BAR_CELLS = 20
REPLY_CHARS = 6_000
ORDERS = {"ab": "a shown first", "ba": "b shown first"}


def reasons_text(view: View, body: Body) -> str:
    """Return everything that is known of a row beyond its texts, in paragraphs."""
    parts = {JUDGMENT: _judgment, COMPARISON: _comparison, PAIR: _pair}.get(body.item.kind, _bare)(view, body)
    return "\n\n".join(part for part in parts if part) or "(nothing but the texts is stored)"


def _judgment(view: View, body: Body) -> Iterator[str]:
    record = body.record
    yield _scores_line(record, body)
    yield _criteria(record.get("criteria"), body.item.rubric)
    yield from (constraints_text([record.get("evidence")], 0), claims_text(record.get("evidence")))
    yield from _replies(record)
    yield _footer(record, body)


def _comparison(view: View, body: Body) -> Iterator[str]:
    record, item = body.record, body.item
    if item.error:
        yield f"✗ no verdict: {one_line(item.error)}"
    yield _orders(record)
    if item.score_b is not None:
        yield f"preference for b {number_text(item.score_b)} {bar(item.score_b, BAR_CELLS)}"
    votes = record.get("votes")
    if isinstance(votes, list):
        shown = " ".join(number_text(known_number(vote)) for vote in votes)
        yield f"the panel's preferences for b: {shown}, agreement {number_text(known_number(record.get('agreement')))}"
    yield from _replies(record)
    yield _footer(record, body)


def _pair(view: View, body: Body) -> Iterator[str]:
    item, record = body.item, body.record
    facts = [f"margin {number_text(item.margin)}", f"confidence {number_text(item.confidence)}"]
    weight = known_number(record.get("weight"))
    yield ", ".join([*facts, f"weight {number_text(weight)}"] if weight is not None else facts)
    evidence = record.get("evidence")
    listed = evidence if isinstance(evidence, list) else []
    for part in listed:
        if isinstance(part, dict) and isinstance(part.get("sizes"), list):
            yield _cluster(part)
    for place, side in enumerate("ab"):  # the constraints stand above the answers
        claims = claims_text(listed[place]) if len(listed) > place else ""
        yield "\n".join(f"{side}: {line}" for line in claims.splitlines())
    for side, text in (("a", item.text_a), ("b", item.text_b)):
        for row in judgments_on(view, body, text or ""):
            found = view.table.body(row)
            yield f"── the judgment of {side}: {_scores_line(found.record, found)}"
            yield _criteria(found.record.get("criteria"), found.item.rubric)
            yield from _replies(found.record)
    yield _footer(record, body)


def _bare(view: View, body: Body) -> Iterator[str]:
    yield _footer(body.record, body)


def judgments_on(view: View, body: Body, text: str) -> list[int]:
    """Return the rows of the judgments on a text of a row: same prompt, same text."""
    rows = view.table.rows
    same = (rows["prompt"] == rows["prompt"][body.row]) & (rows["kind"] == JUDGMENT) & (rows["replaced"] == 0)
    found = []
    for row in np.flatnonzero(same & (rows["chars_a"] == len(text))).tolist():
        try:
            if view.table.body(row).item.text_a == text:
                found.append(row)
        except InputError:
            continue
    return found


def _scores_line(record: Mapping[str, Any], body: Body) -> str:
    scores = record.get("scores")
    samples = [number_text(known_number(score)) for score in scores] if isinstance(scores, list) else []
    parts = [f"score {number_text(body.item.score_a)}"]
    if len(samples) > 1:
        parts.append(f"samples {' '.join(samples)}")
    if body.item.spread is not None and math.isfinite(body.item.spread):
        parts.append(f"spread {number_text(body.item.spread)}")
    if record.get("aggregate"):
        parts.append(f"by {one_line(str(record['aggregate']))}")
    if body.item.error:
        parts.append(f"✗ {one_line(body.item.error)}")
    missing = record.get("missing")
    if isinstance(missing, dict) and missing:
        parts.append("; ".join(f"sample {one_line(str(name))}: {one_line(str(why))}" for name, why in missing.items()))
    return ", ".join(parts)


def _criteria(criteria: Any, rubric: str) -> str:
    if not isinstance(criteria, dict) or not criteria:
        return ""
    known = {one_line(str(name)): known_number(value) for name, value in criteria.items()}
    scale = scale_of(rubric, [value for value in known.values() if value is not None])
    width = max(map(len, known))
    lines = [f"{name:<{width}} {number_text(value):>5} {_bar_of(value, scale)}" for name, value in known.items()]
    return "\n".join([*lines, *([f"(bars from {scale[0]:g} to {scale[1]:g})"] if scale else [])])


def _bar_of(value: float | None, scale: Scale | None) -> str:
    """Return a value as its share of the scale, or no bar if the scale is unknown."""
    return "" if scale is None or value is None else bar((value - scale[0]) / (scale[1] - scale[0]), BAR_CELLS)


def _orders(record: Mapping[str, Any]) -> str:
    if "first_order" not in record:
        return ""
    first, second = (record.get(name) or "no verdict" for name in ("first_order", "second_order"))
    line = f"a shown first: {one_line(str(first))}    b shown first: {one_line(str(second))}"
    return f"{line}    ↔ the orders disagree" if record.get("flipped") is True else line


def _cluster(evidence: Mapping[str, Any]) -> str:
    sizes = " ".join(str(size) for size in evidence["sizes"])
    return (
        f"meaning clusters of sizes {one_line(sizes)} ({one_line(str(evidence.get('equivalence') or '-'))}), "
        f"chosen by {one_line(str(evidence.get('chosen_by') or '-'))}"
    )


def _replies(record: Mapping[str, Any]) -> Iterator[str]:
    replies = record.get("replies")
    shown = [str(reply) for reply in replies] if isinstance(replies, list) else replies_in(dict(record))
    for place, reply in enumerate(shown):
        if (shares := _distribution(record, reply)) != "":
            yield f"── {_reply_title(record, place, len(shown))}, the probability of each choice\n{shares}"
            continue
        cut = reply if len(reply) <= REPLY_CHARS else f"{reply[:REPLY_CHARS]}\n(cut here: {len(reply):,} characters)"
        yield f"── {_reply_title(record, place, len(shown))}\n{visible(cut)}"


def _distribution(record: Mapping[str, Any], reply: str) -> str:
    """Return the choices of a reply that is log-probabilities as bars, or nothing if it is words."""
    if record.get("read") != "logprobs":
        return ""
    try:
        logs = msgspec.json.decode(reply, type=dict[str, float])
    except (msgspec.MsgspecError, UnicodeEncodeError):
        return ""
    shares = {one_line(choice): math.exp(min(log, 0.0)) for choice, log in logs.items()}
    width = max(map(len, shares), default=0)
    return "\n".join(f"{choice:<{width}} {share:.2f} {bar(share, BAR_CELLS)}" for choice, share in shares.items())


def _reply_title(record: Mapping[str, Any], place: int, n: int) -> str:
    orders, samples = record.get("reply_orders"), record.get("reply_samples")
    title = f"reply {place + 1} of {n}"
    if isinstance(orders, list) and place < len(orders):
        title += f", {ORDERS.get(str(orders[place]), one_line(str(orders[place])))}"
    if isinstance(samples, list) and place < len(samples):
        title += f", sample {one_line(str(samples[place]))}"
    return title


def _footer(record: Mapping[str, Any], body: Body) -> str:
    item = body.item
    words = [("judge", item.judge), ("rubric", item.rubric), ("read", str(record.get("read") or ""))]
    parts = [f"{name} {one_line(word)}" for name, word in words if word]
    usage = record.get("usage")
    if isinstance(usage, dict) and usage.get("n_calls"):
        tokens = f"{usage.get('n_prompt_tokens', 0):,} + {usage.get('n_tokens', 0):,} tokens"
        parts.append(f"{counted(int(usage['n_calls']), 'calls')}, {tokens}, {usage.get('seconds', 0):.1f} s")
    return ", ".join([*parts, one_line(body.where)])


def texts_of(body: Body) -> tuple[str, str | None]:
    """Return the two answers as they are shown, cut and made visible."""
    text_b = body.item.text_b
    return detail_text(body.item.text_a), None if text_b is None else detail_text(text_b)
