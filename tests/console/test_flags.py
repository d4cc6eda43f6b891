"""How an advice names the flags of the command that runs."""

from dataclasses import dataclass, field
from typing import Annotated

import pytest
import tyro

from console.again import starts_again
from console.errors import InputError, RowError, TrainingError
from console.flags import in_section, spelled


@dataclass(frozen=True)
class Judging:
    read: str = "text"
    max_new_tokens: int = 1
    min_coverage: float = 0.9


@dataclass(frozen=True)
class Plain:
    judging: Annotated[Judging, tyro.conf.OmitArgPrefixes] = field(default_factory=Judging)
    judge: tuple[str, ...] = ()


@dataclass(frozen=True)
class Evaluation:
    judge_read: str = "text"
    judge_max_new_tokens: int = 1
    max_new_tokens: int = 1
    min_coverage: float = 0.9
    label_read: str = ""


@dataclass(frozen=True)
class Sections:
    judge: Judging = field(default_factory=Judging)
    other: Judging | None = None
    max_new_tokens: int = 1


def within(config: object, text: str, *, of_judge: bool) -> str:
    said: list[str] = []
    starts_again(lambda _: said.append(spelled(text, of_judge=of_judge)))(config)
    return said[0]


@pytest.mark.parametrize(
    ("config", "of_judge", "text", "right"),
    [
        (Plain(), True, "use --read text", "use --read text"),
        (Plain(), False, "raise --max-new-tokens", "raise --max-new-tokens"),
        (Evaluation(), True, "use --read text", "use --judge-read text"),
        (Evaluation(), False, "use --read text", "use --judge-read text"),
        (Evaluation(), True, "(--max-new-tokens)", "(--judge-max-new-tokens)"),
        (Evaluation(), False, "--max-new-tokens 5", "--max-new-tokens 5"),
        (Evaluation(), True, "under --min-coverage 0.9;", "under --min-coverage 0.9;"),
        (Evaluation(), True, "no --other, and no --judge-read", "no --other, and no --judge-read"),
        (Sections(), True, "use --read text.", "use --judge.read text."),
        (Sections(), True, "raise --max-new-tokens", "raise --judge.max-new-tokens"),
        (Sections(), False, "raise --max-new-tokens", "raise --max-new-tokens"),
        (Sections(), False, "the --read flag", "the --other.read flag"),
        (Sections(), True, "already --judge.read", "already --judge.read"),
    ],
)
def test_an_advice_names_the_flag_as_the_command_has_it(config: object, of_judge: bool, text: str, right: str) -> None:
    assert within(config, text, of_judge=of_judge) == right


def test_where_no_command_runs_a_flag_stays_as_it_is() -> None:
    assert spelled("use --read text", of_judge=True) == "use --read text"
    within(Evaluation(), "", of_judge=True)
    assert spelled("use --read text", of_judge=True) == "use --read text"


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("--read (text), and --max-new-tokens 5; see --help", "--sft.read (text), and --n.most 5; see --help"),
        ("--lora.read, --read-all and --sft.read stay", "--lora.read, --read-all and --sft.read stay"),
    ],
)
@pytest.mark.parametrize("kind", [InputError, RowError, TrainingError])
def test_an_error_within_a_section_names_the_flags_of_the_section(kind: type[Exception], text: str, right: str) -> None:
    with pytest.raises(kind) as raised, in_section("sft.", Judging(), max_new_tokens="n.most"):
        raise kind(text)
    assert str(raised.value) == right
