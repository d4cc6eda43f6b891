"""Reads how likely each choice is from the tokens of a reply that a server wrote."""

import math
from collections.abc import Sequence

from engines.chat_reply import Reply, Token


def read_choices(reply: Reply, choices: Sequence[str]) -> tuple[float, ...] | None:
    """Return the log-probability of each choice, or None where the reply names none.

    The reply is followed from the first token at which it spells a choice, on token boundaries and with the spaces
    around it left out, over as many tokens as the choice takes; all tokens that spell the same are added up (`4` and
    ` 4`). Where a choice begins a longer one (`1` and `10`), it has the mass that does not go on to the longer one, or
    all of it where the reply ends there: servers list no probabilities for the end. A reply cut off there names none.
    -inf means that the server listed nothing that spells the choice to its end: only the reply's own path is known
    beyond its first token, so another token that merely begins a choice counts for none.
    """
    tokens = (reply.logprobs and reply.logprobs.content) or []
    for start, token in enumerate(tokens):
        if token.token.strip():
            mass = _follow(tokens[start:], choices, ended=reply.finish_reason != "length")
            if mass is not None:
                return tuple(math.log(mass[choice]) if mass[choice] > 0 else -math.inf for choice in choices)
    return None


def _follow(tokens: Sequence[Token], choices: Sequence[str], *, ended: bool) -> dict[str, float] | None:
    """Return the mass of each choice along the reply, or None where it names no choice from its first token on."""
    mass = dict.fromkeys(choices, 0.0)
    said, path, named = "", 1.0, ""  # the reply so far, its probability, the choice that it is if longer ones go on
    for token in tokens:
        p_longer = 0.0
        for text, logprob in token.listed().items():
            spelled = (said + text).strip()
            goes_on = _begins_longer((said + text).lstrip(), choices)
            if spelled in mass and spelled != named and not goes_on:
                mass[spelled] += path * math.exp(logprob)
            if goes_on or (spelled in mass and spelled != named):
                p_longer += math.exp(logprob)
        if named:
            mass[named] += path * max(0.0, 1 - p_longer)
        said, path = (said + token.token).lstrip(), path * math.exp(token.logprob)
        if not _begins_longer(said, choices):
            return mass if named or said.strip() in mass else None
        named = said.strip() if said.strip() in mass else ""
    if not (named and ended):
        return None
    mass[named] += path
    return mass


def _begins_longer(text: str, choices: Sequence[str]) -> bool:
    return any(len(choice) > len(text) and choice.startswith(text) for choice in choices)
