"""The arms of the experiment: the whole loop, and the loop with one thing changed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from experiments.world.world import TOP
from judges.options import Reading

RUBRIC = Path(__file__).parent / "rubric.toml"
PERFECT = TOP - 1.0
"""The expected score that counts as perfect, because it hardly ever reaches the end of the scale."""


@dataclass(frozen=True)
class Arm:
    """One way to run the loop. The defaults are the whole loop."""

    about: str
    eft: bool = True
    """M1 learns to judge from rated answers. If false, it only learns to answer."""
    judge: Literal["model", "truth", "random"] = "model"
    """The judge of the candidates: the model itself, or a bound."""
    read: Reading = "logprobs"
    samples: int = 1
    """Replies that are averaged (text)."""
    learn: Literal["pairs", "perfect"] = "pairs"
    """perfect: no pairs, but supervised fine-tuning on the candidates with the highest score."""
    n: int = 4
    """Candidates per prompt."""
    min_margin: float = 0.0
    rho: float = 0.0
    beta: float = 0.5
    """How strongly DPO holds a model to its parent. With the paper's 0.1 so small a model soon drifts far."""


FULL = "full"
ARMS = {
    FULL: Arm("the whole loop: EFT, 4 candidates, expected score, best against worst, DPO"),
    "no_eft": Arm("M1 has learnt to answer only", eft=False),
    "positive": Arm("fine-tuning on the best-scored candidates instead of DPO on pairs", learn="perfect"),
    "text_3": Arm("the score is written: mean of 3 samples (the paper's way)", read="text", samples=3),
    "text_1": Arm("the score is written: 1 sample", read="text"),
    "n_2": Arm("2 candidates", n=2),
    "n_8": Arm("8 candidates", n=8),
    "margin_1": Arm("pairs at least 1 point apart", min_margin=1.0),
    "margin_2": Arm("pairs at least 2 points apart", min_margin=2.0),
    "rho_0.2": Arm("length control: rho 0.2", rho=0.2),
    "beta_0.1": Arm("DPO with the paper's beta", beta=0.1),
    "truth": Arm("bound: the truth is the judge", judge="truth"),
    "random": Arm("bound: the scores are drawn at random", judge="random"),
}
