"""Measure how often attacks in an answer fool the judge: its template, its parser and, with --model, its model.

python -m judges.attacks                                      the template and the parser, on every rubric, no model
python -m judges.attacks --rubric my_scale.toml               on your own rubric too
python -m judges.attacks --model smollm2 --limit 60           and how often the model is fooled
python -m judges.attacks --model my-model --base-url http://localhost:8000/v1 --read text --margin 0.2

The template is fooled if a text closes its own fence, keeps a special token or fills a placeholder again. The parser
is fooled if it reads the verdict of a quoted attack, or misses the judge's own. Both counts must be 0. The model is
fooled if it scores a useless answer higher with the attack than without it. An interrupted command resumes when it is
started again.
"""

from console.again import starts_again
from console.command import run
from judges.attacks.options import Config


@starts_again
def main(config: Config) -> None:
    """Check the template and the parser, ask the model if there is one, and print a table of each."""
    from judges.attacks.attacking import attack

    attack(config)


if __name__ == "__main__":
    run(Config, main, "python -m judges.attacks")
