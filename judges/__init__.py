"""The judge: rubric -> prompt -> reply -> verdict -> score.

from judges import Judge

judge = Judge.open("gpt-5-mini", rubric="additive", read="structured")
[verdict] = judge.score(["What is the capital of Peru?"], ["Lima."])
verdict.score, verdict.error, verdict.replies
"""

from typing import TYPE_CHECKING, Any

import console.process  # noqa: F401  before torch is loaded

if TYPE_CHECKING:
    from judges.library import Judge
    from judges.rubrics.rubric import Rubric, load_rubric

__all__ = ["Judge", "Rubric", "load_rubric"]


def __getattr__(name: str) -> Any:
    # Loaded on first use, so that `python -m judges.score --help` stays quick.
    if name == "Judge":
        from judges.library import Judge

        return Judge
    if name in ("Rubric", "load_rubric"):
        from judges.rubrics import rubric

        return getattr(rubric, name)
    raise AttributeError(f"module 'judges' has no attribute {name!r}")
