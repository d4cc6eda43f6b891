"""Pairs across generations: the rejected answer is from the first model, the chosen one from the next model.

The best and worst answers of one model grow more similar from round to round, and DPO's gradient fades with their
difference. Temporal Self-Rewarding (arXiv 2508.06026) keeps them apart: the rejected answers stay those of the initial
model, and the chosen ones come from a model that is a step ahead.
"""

from collections.abc import Sequence

from records import Judgment, Pair, prompt_key
from trainer.pairs.options import PairOptions
from trainer.pairs.pairing import PairCounts, pairs_between


def temporal_pairs(
    initial: Sequence[Judgment], later: Sequence[Judgment], options: PairOptions, seed: int = 0
) -> tuple[list[Pair], PairCounts]:
    """Return at most one pair per prompt: the best of `later` answers against the worst of the `initial` ones.

    The prompts are those of either list, in order. A prompt with answers in only one list is counted as too few. A
    prompt whose best later answer is no better than the worst initial one is tied. All filters and rho are as in
    `make_pairs`, with S_max over the later and S_min over the initial answers. Raises InputError if the two lists have
    different judges.
    """
    by_prompt: dict[str, tuple[list[Judgment], list[Judgment]]] = {}
    for place, judgments in enumerate((later, initial)):
        for judgment in judgments:
            by_prompt.setdefault(prompt_key(judgment), ([], []))[place].append(judgment)
    pairs, counts = pairs_between(by_prompt.values(), [*initial, *later], options, seed, [])
    return list(pairs), counts
