"""Reads how likely each choice is from the tokens of a reply that a server wrote.

What is asked for it (`choice_settings`) and how the reply is read (`read_choices`) stand together here, so that a
server which can continue a given beginning and list given tokens can be asked and read in another way.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from engines.advice import INSIDE, more_room
from engines.served.choices.place import Agrees, Place, place_of
from engines.served.choices.spelling import Spelled, Spelling, spelled
from engines.served.replies.chat_reply import Reply, Token
from records.finish import at_token_limit, cut_off
from records.reasoning import answer_span

TOP_LOGPROBS = 20
"""The most that the API gives."""
TOKENS_BEFORE_CHOICE = 7
"""The tokens that a reply may take to reach its choice: `Score: 4` and a little before it."""
TOKENS_OF_OTHERS = 64
"""The further tokens that it may take if it may name the verdicts on other criteria first."""
ROUNDING = 1e-3
"""A server that computes in half precision may give a certain token a log-probability a little above 0."""


class NoReading(Exception):  # noqa: N818 (nothing is wrong with the program)
    """A reply has no log-probabilities of the choices. The message is the reason."""


class BrokenTokens(NoReading):
    """The tokens of a reply contradict its text or each other."""


class NoLogprobs(NoReading):
    """The server gave no log-probabilities at all, or none of the other tokens."""


def choice_settings(choices: Sequence[str], labels: Sequence[str] = (), alone: bool = True) -> dict[str, Any]:
    """Return the settings of a call whose reply comes to one of `choices` after one of `labels`."""
    # At worst a choice takes a token per letter, and a label one per two letters, of which three are counted already.
    n_new = TOKENS_BEFORE_CHOICE + max(map(len, choices)) + max([0, *(len(label) // 2 - 3 for label in labels)])
    n_new += 0 if alone else TOKENS_OF_OTHERS
    return {"max_tokens": n_new, "temperature": 0.0, "logprobs": True, "top_logprobs": TOP_LOGPROBS}


def read_choices(
    reply: Reply,
    choices: Sequence[str],
    labels: Sequence[str] = (),
    *,
    alone: bool = True,
    agrees: Agrees | None = None,
    thinking_tokens: int = 0,
) -> tuple[float, ...] | None:
    """Return the log-probability of each choice, or None if the reply names none.

    The choice is read after one of `labels`, or if it is the whole reply (`alone`). Reasoning before it and text after
    its turn do not count. Text that the caller does not accept as that choice (`agrees`), because it is quoted or taken
    back, names none.

    The choice is followed from its first token over all its tokens, on token boundaries and without the signs around
    it. Tokens that spell the same text are added up (`4` and ` 4`). If a choice begins a longer one (`1` and `10`), it
    has the mass that does not go on to the longer one, or all of it if the reply ends there, because servers list no
    probabilities for the end. -inf means that the server listed nothing that spells the whole choice. Beyond the first
    token only the reply's own path is known, so another token that merely begins a choice counts for none.

    Raises NoLogprobs if the server gives no log-probabilities or no other tokens, BrokenTokens if the reply is
    broken, NoReading if it was cut off before its choice was settled.
    """
    tokens = (reply.logprobs and reply.logprobs.content) or []
    _check(tokens)
    spelled_tokens = spelled(tokens, reply.message.content)
    text = "".join(token.text for token in spelled_tokens)
    room = more_room(thinking_tokens)
    answer = _answer(text, reply, room)
    place = place_of(text[answer], choices, labels, alone=alone, agrees=agrees)
    why = cut_off(reply.finish_reason)
    if why is not None and (not at_token_limit(why) or place is None or not place.settled):
        what = "" if place else f" before it named a choice; if it was reasoning, {room}"
        raise NoReading(f"truncated: the reply was cut off ({why}){what}")
    if place is None:
        return None
    content = (reply.message.content or "").strip()
    if content not in text:  # tokens that cannot be spelled whole may still be the text's
        text_place = place_of(content[answer_span(content) or slice(0)], choices, labels, alone=alone, agrees=agrees)
        if text_place is None or text_place.choice != place.choice:
            raise BrokenTokens("broken reply: its tokens are not those of its text")
    place = replace(place, start=place.start + answer.start, end=place.end + answer.start)
    mass = _masses([token for token in spelled_tokens if token.end > place.start], place, choices)
    if sum(mass.values()) > 1 + ROUNDING:
        raise BrokenTokens("broken reply: the choices have a probability above 1 together")
    return tuple(math.log(mass[choice]) if mass[choice] > 0 else -math.inf for choice in choices)


def _check(tokens: Sequence[Token]) -> None:
    if not tokens or not any(token.top_logprobs for token in tokens):
        raise NoLogprobs("the server gives no log-probabilities")
    for token in tokens:
        for logprob in (token.logprob, *(top.logprob for top in token.top_logprobs or ())):
            if math.isnan(logprob) or logprob > ROUNDING:
                raise BrokenTokens(f"broken reply: {logprob:g} is no log-probability")


def _answer(text: str, reply: Reply, room: str) -> slice:
    """Return the part of the tokens' text that is the answer: all that the server calls it, without its reasoning."""
    content = (reply.message.content or "").strip()
    limit = cut_off(reply.finish_reason) if at_token_limit(reply.finish_reason) else None
    why = f": truncated: the reply was {INSIDE} ({limit}): {room}" if limit else ""
    inside = NoReading(f"the reply stops inside its reasoning{why or f'; {room}'}")
    if not content and reply.message.has_reasoning:
        raise inside
    span = answer_span(text)
    if span is None:
        raise inside
    # The last one, because reasoning that a server did not mark may quote the answer.
    start = text.rfind(content, span.start, span.stop) if content else -1
    if start < 0:
        return span
    rest = text[start + len(content) : span.stop]
    return slice(start, span.stop - len(rest.lstrip()))  # a break after a choice says that it has ended


def _masses(tokens: Sequence[Spelled], place: Place, choices: Sequence[str]) -> dict[str, float]:
    """Return the probability of each choice along the tokens from that on which begins the choice at `place`."""
    spelling = Spelling.of(choices)
    mass = dict.fromkeys(choices, 0.0)
    spelled_text, path = "", 1.0  # the choice so far and its probability
    for token in tokens:
        is_after, ends = token.start >= place.end, token.end > place.end
        if not (token.is_listed or is_after):
            raise NoLogprobs("the server lists no other tokens where the reply names its choice")
        lead = token.text[: max(0, place.start - token.start)]  # what a token has before the choice, as in ` 4`
        piece = token.text if is_after else token.text[len(lead) : place.end - token.start]
        listed = ((piece, token.logprob), *((text.removeprefix(lead), logprob) for text, logprob in token.listed))
        named, p_longer = spelling.choice(spelled_text), 0.0
        for text, logprob in listed:
            # min: `_check` lets a little above 0 pass, which is rounding.
            choice, p = spelling.choice(spelled_text + text), math.exp(min(logprob, 0.0))
            # `is`, because another token may have the same text, and only the reply's own has more after the choice.
            goes_on = spelling.goes_on(spelled_text + text) and not (ends and text is piece)
            if choice and choice != named and not goes_on:
                mass[choice] += path * p
            if goes_on or choice not in ("", named):
                p_longer += p
        if named:
            mass[named] += path * max(0.0, 1 - p_longer)
        if is_after:
            return mass
        spelled_text, path = spelled_text + piece, path * math.exp(min(token.logprob, 0.0))
        if ends or (token.end == place.end and not spelling.goes_on(spelled_text)):
            return mass
    mass[spelling.choice(spelled_text)] += path  # the reply ended although a longer choice was possible
    return mass
