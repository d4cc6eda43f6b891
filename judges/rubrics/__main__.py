"""List the rubrics, show one, or let a model write one from labels.

python -m judges.rubrics                      the project's rubrics
python -m judges.rubrics criteria             one of them in full
python -m judges.rubrics my/rubric.toml       your own, checked as a judge would check it
python -m judges.rubrics --from labelled.jsonl --model big --base-url http://localhost:8000/v1
                                              a rubric from the judge's disagreements with the labels

With --from a part of the labels is held out, and the agreement with it is printed before and after. An interrupted
command resumes when it is started again.
"""

from importlib import import_module

from console.again import starts_again
from console.command import run
from judges.rubrics.options import Config


@starts_again
def main(config: Config) -> None:
    """Print a table of all rubrics, or one rubric, or write one."""
    if config.labels is not None:
        # not for a list of rubrics, which needs neither an engine nor numpy
        import_module("judges.calibrate.proposing.command").propose_rubric(config, config.labels)
        return
    from judges.rubrics.listing import print_what_is_named

    print_what_is_named(config.name, as_json=config.json)


if __name__ == "__main__":
    run(Config, main, "python -m judges.rubrics")
