"""What FastChat fixes: the categories with references, the temperatures, and in this project the rubrics."""

from dataclasses import dataclass
from pathlib import Path

from console.errors import InputError
from evals.mt_bench.options import Mode
from judges.rubrics.rubric import load_rubric

RUBRICS = Path(__file__).parent / "rubrics"
WITH_REFERENCE = ("math", "reasoning", "coding")
"""Categories whose answers are judged beside a reference answer."""
TEMPERATURES = {
    "writing": 0.7,
    "roleplay": 0.7,
    "extraction": 0.0,
    "math": 0.0,
    "coding": 0.0,
    "reasoning": 0.0,
    "stem": 0.1,
    "humanities": 0.1,
}
OTHER_TEMPERATURE = 0.7
HOW_TO_GET = "it is in the repository lm-sys/FastChat: --data FastChat/fastchat/llm_judge/data/{}"
PACKAGED: dict[Mode, tuple[str, str]] = {"single": ("single_10", ""), "pair": ("pairwise", "pairwise_reference")}
"""The rubrics of the first turn that every command has, without and with a reference."""


@dataclass(frozen=True)
class Kind:
    """The kind of a question, which has a rubric of its own."""

    turn: int
    has_reference: bool


KINDS = [Kind(turn, has_reference) for turn in (1, 2) for has_reference in (False, True)]


def kind_of(category: str, turn: int) -> Kind:
    """Return the kind of the question at a turn."""
    return Kind(turn, category in WITH_REFERENCE)


def rubric_of(kind: Kind, mode: Mode, given: str) -> str:
    """Return the rubric for a kind of question: the user's, or else one of this project's."""
    if given:
        return given
    if kind.turn == 1 and (packaged := PACKAGED[mode][kind.has_reference]):
        return packaged
    name = f"{mode}{'_reference' if kind.has_reference else ''}{'_turn_2' if kind.turn == 2 else ''}"
    return str(RUBRICS / f"{name}.toml")


def check_rubric(mode: Mode, given: str) -> None:
    """Raise InputError if the user's rubric does not fit the mode."""
    if not given:
        return
    rubric = load_rubric(given)
    if rubric.kind != ("score" if mode == "single" else "pair"):
        wanted = "scores one answer: single_10" if mode == "single" else "compares two answers: pairwise"
        raise InputError(f"--judge-rubric {given}: --mode {mode} needs one that {wanted}")


def temperature_of(category: str) -> float:
    """Return FastChat's temperature of the answers in a category."""
    return TEMPERATURES.get(category, OTHER_TEMPERATURE)
