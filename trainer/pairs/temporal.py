"""Pairs across generations: the rejected answer is the first model's, the chosen one the next model's.

Best and worst of one model's own answers grow alike from round to round, and with them DPO's gradient fades. Temporal
Self-Rewarding (arXiv 2508.06026) keeps them apart: the rejected answers stay those of the initial model, and the chosen
ones come from a model that is already a step further.
"""

from collections.abc import Sequence

from records import Judgment, Pair, prompt_key
from trainer.pairs.pairing import PairCounts, PairOptions, pairs_between


def temporal_pairs(
    initial: Sequence[Judgment], later: Sequence[Judgment], options: PairOptions, seed: int = 0
) -> tuple[list[Pair], PairCounts]:
    """Return at most one pair a prompt: the best of `later` answers against the worst of the `initial` ones.

    The prompts are those of either list, in order; one with answers in only one of them is counted as too few. A prompt
    whose best later answer is no better than the worst initial one is tied. All filters and rho are as in `make_pairs`,
    with S_max over the later and S_min over the initial answers. Raises InputError where one judge has not scored both.
    """
    by_prompt: dict[str, tuple[list[Judgment], list[Judgment]]] = {}
    for place, judgments in enumerate((later, initial)):
        for judgment in judgments:
            by_prompt.setdefault(prompt_key(judgment), ([], []))[place].append(judgment)
    return pairs_between(by_prompt.values(), [*initial, *later], options, seed)
