"""List the rubrics, or show one: what the judge is asked, on which scale, and how its reply is read.

python -m judges.rubrics                      the project's rubrics
python -m judges.rubrics criteria             one of them, whole
python -m judges.rubrics my/rubric.toml       your own, checked as a judge would check it
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from console.command import Flags, Given, run
from console.output import tell, tell_json, tell_text

if TYPE_CHECKING:
    from judges.rubrics.rubric import Rubric


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """List the rubrics, or show one."""

    rubric: Given = None
    """The name of a rubric, or the path of a .toml file."""


def main(config: Config) -> None:
    """Print a table of all rubrics, or one rubric."""
    from console.table import print_table
    from judges.rubrics.rubric import load_rubric, rubric_names

    if config.rubric is None:
        print_table([_line(load_rubric(name)) for name in rubric_names()], as_json=config.json)
        return
    rubric = load_rubric(str(config.rubric))
    if config.json:
        import msgspec

        tell_json(msgspec.json.encode(rubric))
        return
    _show(rubric)


def scale_of(rubric: "Rubric") -> str:
    """Return the scale in a few words: `0 to 5`, or the words of a verdict with what each is worth."""
    if rubric.values:
        return ", ".join(f"{word} {value:g}" for word, value in rubric.values.items())
    return f"{rubric.low:g} to {rubric.high:g}"


def _line(rubric: "Rubric") -> dict[str, str | int | float | None]:
    shows = sorted(rubric.placeholders & {"reference", "judged"})
    return {
        "rubric": rubric.name,
        "judges": "one answer" if rubric.kind == "score" else "two answers",
        "scale": scale_of(rubric),
        "criteria": len(rubric.criteria) or None,
        "needs": ", ".join(shows) or None,
    }


def _show(rubric: "Rubric") -> None:
    from console.table import print_table

    tell(f"{rubric.name}: {rubric.source}", "")
    tell(f"judges     {'one answer' if rubric.kind == 'score' else 'two answers, in both orders'}")
    tell(f"scale      {scale_of(rubric)}")
    tell(f"samples    become one score by their {rubric.aggregate}")
    verdict = rubric.pattern or " / ".join(f"{label}: <verdict>" for label in rubric.labels)
    tell(f"reply      {verdict}")
    tell(f"logprobs   of {', '.join(rubric.logprobs.choices)} after {rubric.prefill(rubric.labels[0])!r}", "")
    if rubric.criteria:
        print_table([{"criterion": c.name, "weight": c.weight, "what": c.description} for c in rubric.criteria])
        tell()
    tell_text(rubric.prompt)
    for read in ("text", "logprobs", "structured"):
        tell()
        tell_text(f"--read {read} closes with: {getattr(rubric.closing, read) or '(cannot be used)'}")


if __name__ == "__main__":
    run(Config, main, "python -m judges.rubrics")
