"""The versions of Arena-Hard: their categories, and the baseline and the rubric of each."""

from pathlib import Path

from console.errors import InputError
from evals.arena_hard.options import Version
from judges.rubrics.rubric import load_rubric

RUBRICS = Path(__file__).parent / "rubrics"
HARD, CREATIVE = (str(RUBRICS / f"{name}.toml") for name in ("arena_hard", "arena_hard_creative"))
BASELINES: dict[Version, dict[str, str]] = {
    "v2.0": {
        "hard_prompt": "o3-mini-2025-01-31",
        "coding": "o3-mini-2025-01-31",
        "math": "o3-mini-2025-01-31",
        "creative_writing": "gemini-2.0-flash-001",
    },
    "v0.1": {"arena-hard-v0.1": "gpt-4-0314"},
}
"""The baseline of each category by version."""
OTHER_RUBRICS = {"creative_writing": CREATIVE}
"""The rubric of a category, if it is not arena_hard: creative answers are not compared with the judge's own."""
LEVELS = {0.0: "A>>B", 0.25: "A>B", 0.5: "A=B", 0.75: "B>A", 1.0: "B>>A"}
"""The verdict of each value of a rubric."""
HOW_TO_GET = (
    "both are in the repository lmarena/arena-hard-auto, for example with --data arena-hard-auto/data/arena-hard-{}"
)


def rubrics_of(version: Version, given: str) -> list[str]:
    """Return the rubrics of a version, or the only one if the user gives one.

    Raises InputError if the user's has other verdicts than five, from much better to much worse.
    """
    if not given:
        return list(dict.fromkeys(rubric_of(category, "") for category in BASELINES[version]))
    rubric = load_rubric(given)
    if rubric.kind != "pair" or set(rubric.values.values()) != set(LEVELS):
        what = f"--judge-rubric {given}: a game has five verdicts, of the values {', '.join(f'{v:g}' for v in LEVELS)}"
        raise InputError(f"{what}; give one with these, such as pairwise_5")
    return [given]


def rubric_of(category: str, given: str) -> str:
    """Return the rubric by which answers of a category are compared."""
    return given or OTHER_RUBRICS.get(category, HARD)


def other_version(category: str, version: Version) -> Version | None:
    """Return the version of which a category is, if it is another one than `version`."""
    if category in BASELINES[version]:
        return None
    return next((other for other, baselines in BASELINES.items() if category in baselines), None)
