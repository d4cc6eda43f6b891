"""The order of a round's pairs against what a program finds: the pairs whose chosen answer is the better one.

It is known before the training, so that a gate on it stops a run before a model learns from wrong pairs.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from judges.tools.constraints.checking import check_constraints
from records import Pair, Prompt
from records.rows import request_text
from trainer.monitors.following import CheckedAnswer


@dataclass(frozen=True)
class PairOrder:
    """The number of pairs of each kind. A pair with a side that cannot be checked counts nowhere."""

    n_right: int
    """The chosen answer follows all constraints of the prompt, and the rejected one breaks some."""
    n_wrong: int
    """The other way round."""
    n_equal: int
    """Both follow everything, or neither does."""

    @property
    def right(self) -> float | None:
        """Return the share of right pairs among those with a better side, or None without any."""
        n = self.n_right + self.n_wrong
        return self.n_right / n if n else None


def order_of(pairs: Iterable[Pair], prompts: Sequence[Prompt]) -> PairOrder:
    """Return how many pairs are in the right order, by the constraints in the rows of their `prompts`."""
    by_id = {prompt.id: prompt for prompt in prompts}
    n_right = n_wrong = n_equal = 0
    for pair in pairs:
        prompt = by_id.get(pair.prompt_id)
        # A pair of judgments (Meta-Rewarding) has the id of the prompt, but asks another question.
        if prompt is None or not prompt.constraints or request_text(pair.prompt) != request_text(prompt.prompt):
            continue
        chosen, rejected = (follows(prompt, side[-1]["content"]) for side in (pair.chosen, pair.rejected))
        n_right += chosen is True and rejected is False
        n_wrong += chosen is False and rejected is True
        n_equal += chosen is not None and chosen == rejected
    return PairOrder(n_right, n_wrong, n_equal)


def follows(prompt: Prompt, response: str) -> bool | None:
    """Return whether a response follows all constraints of its prompt, or None if that is not known."""
    checks = check_constraints(request_text(prompt.prompt), response, prompt.constraints or [])
    return CheckedAnswer(response_id="", prompt_id=prompt.id, checks=checks).follows
