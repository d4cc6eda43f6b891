"""The tokens that spell each choice after a prompt, and the choices' probabilities from those of the tokens."""

import math
from collections.abc import Callable, Sequence
from itertools import takewhile

from console.errors import EngineError
from engines.protocol import Request

Path = tuple[int, ...]
"""The tokens of one choice."""
Encode = Callable[[Sequence[Request], str], list[list[int]]]
"""Gives the tokens of each request with the same ending after it."""


def encode_choices(
    encode: Encode, requests: Sequence[Request], choices: Sequence[str]
) -> tuple[list[Path], list[list[int]]]:
    """Return the tokens of each choice, and for each request the tokens before them.

    A choice begins at the first token in which the prompts with and without it differ, so a token that merges the
    prompt's end and a choice (` 4` after `Score: `) is the choice's. Raises EngineError if two choices have the same
    tokens, one has none, or they are not the same after every request.
    """
    prompt, *with_choice = (encode([requests[0]], ending)[0] for ending in ("", *choices))
    columns = zip(prompt, *with_choice, strict=False)
    n_common = sum(1 for _ in takewhile(lambda tokens: len(set(tokens)) == 1, columns))
    paths = [tuple(tokens[n_common:]) for tokens in with_choice]
    n_path = len(paths[0])
    encoded = encode(requests, choices[0])
    told_apart = all(paths) and len(set(paths)) == len(paths)
    if not told_apart or any(tuple(tokens[-n_path:]) != paths[0] for tokens in encoded):
        problem = "have not each tokens of their own, the same after every prompt"
        raise EngineError(f"the choices {', '.join(map(repr, choices))} {problem}; use --read text")
    return paths, [tokens[:-n_path] for tokens in encoded]


def inner_nodes(paths: Sequence[Path]) -> list[Path]:
    """Return every proper beginning of a path, the empty one first, each followed by those that go on from it."""
    # A tuple sorts before those that it begins, so the cache can go back to it and on to each of them.
    return sorted({path[:n] for path in paths for n in range(len(path))})


def exact_logprobs(joint: Sequence[float], paths: Sequence[Path]) -> tuple[float, ...]:
    """Return the log-probability of each choice without longer choices that begin with it (`1` and `10`).

    `joint` has the log-probability of each path's tokens. The sum over all choices is the mass that the model puts on
    them. -inf is a choice whose tokens always go on.
    """
    exact = dict(zip(paths, joint, strict=True))
    # The longest first, so that what a shorter one loses is exact already.
    for path in sorted(paths, key=len, reverse=True):
        longer = sum(math.exp(exact[other]) for other in paths if len(other) > len(path) and _begins(path, other))
        if longer > 0:  # every other number stays as the model gave it
            left = math.exp(exact[path]) - longer
            exact[path] = math.log(left) if left > 0 else -math.inf
    return tuple(exact[path] for path in paths)


def _begins(path: Path, other: Path) -> bool:
    return other[: len(path)] == path
