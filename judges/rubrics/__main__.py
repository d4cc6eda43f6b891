"""List the rubrics, or show one: its prompt, its scale, and how the reply is read.

python -m judges.rubrics                      the project's rubrics
python -m judges.rubrics criteria             one of them in full
python -m judges.rubrics my/rubric.toml       your own, checked as a judge would check it
"""

from dataclasses import dataclass

from console.command import Flags, Given, run


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """List the rubrics, or show one."""

    rubric: Given = None
    """The name of a rubric, or the path of a .toml file."""


def main(config: Config) -> None:
    """Print a table of all rubrics, or one rubric."""
    from judges.rubrics.listing import print_rubric, print_rubrics

    if config.rubric is None:
        print_rubrics(as_json=config.json)
    else:
        print_rubric(str(config.rubric), as_json=config.json)


if __name__ == "__main__":
    run(Config, main, "python -m judges.rubrics")
