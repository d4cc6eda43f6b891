"""The arms of the experiment: the loop with the checks, and the loop with one thing changed."""

from dataclasses import dataclass
from typing import Literal

from judges.options import Reading
from judges.tools.options import VerifyRule

PARENT, FIRST = "parent", "iter1"
"""Judges of a round: the model that wrote the answers, and the first model that has learnt to judge."""


@dataclass(frozen=True)
class Arm:
    """One way to run the loop. The defaults are the recipe's own: the model judges, and every answer is checked."""

    about: str
    checked: float = 1.0
    """The share of a round's prompts whose answers are checked. The others get the judge's score as it is."""
    verify: VerifyRule = "cap"
    """The effect of the checks on the score."""
    read: Reading = "logprobs"
    judges: tuple[str, ...] = (PARENT,)
    """Several are a panel."""
    scores: Literal["judges", "random"] = "judges"
    learn: Literal["pairs", "perfect"] = "pairs"
    """perfect: no pairs, but supervised fine-tuning on the answers that pass."""
    widest: float = 1.0
    """The share of the pairs that is kept, by the rank of their margin."""
    eft: bool = True
    """Whether iter1 learns to judge."""
    replay: bool = False
    """Whether each later iteration learns to judge again, from checked answers of its round."""


CHECKED, OWN = "checked", "own"
ARMS = {
    CHECKED: Arm("own score by the rubric, capped by the checks"),
    "constraints_only": Arm("the share of constraints followed is the score, without a rubric", verify="share"),
    "passing": Arm("fine-tuning on the answers that follow everything, no pairs", verify="strict", learn="perfect"),
    "no_eft": Arm("as checked, but iter1 has not learnt to judge", eft=False),
    "checked_replay": Arm("as checked, and checked answers become judging examples each round", replay=True),
    OWN: Arm("own score alone, no checks", checked=0.0),
    "own_text": Arm("own score alone, written out", checked=0.0, read="text"),
    "own_margin": Arm("own score alone, the half of the pairs with the widest margin", checked=0.0, widest=0.5),
    "random": Arm("scores drawn at random", checked=0.0, scores="random"),
    "frozen": Arm("iter1 judges all rounds, no checks", checked=0.0, judges=(FIRST,)),
    "panel": Arm("iter1 and the parent judge together, no checks", checked=0.0, judges=(PARENT, FIRST)),
    "replay": Arm("as own, and checked answers become judging examples each round", checked=0.0, replay=True),
    "mixed_5": Arm("as own, but 5 % of the prompts are checked", checked=0.05),
    "mixed_10": Arm("as own, but 10 % of the prompts are checked", checked=0.1),
    "mixed_25": Arm("as own, but 25 % of the prompts are checked", checked=0.25),
}
