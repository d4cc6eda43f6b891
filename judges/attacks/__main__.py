"""Measure how often prompt injection in an answer fools a judge: its template, its parser and its model.

python -m judges.attacks                                      test the template and the parser with all rubrics
python -m judges.attacks --rubric my_scale.toml               test them with your rubric too
python -m judges.attacks --model smollm2 --limit 60           test the model too
python -m judges.attacks --model my-model --base-url http://localhost:8000/v1 --read text --margin 0.2

The template is fooled if an answer closes its tag, keeps a control token or fills a placeholder. The parser is fooled
if it reads the verdict of a quoted attack, or misses the judge's own. Both counts must be 0. The model is fooled if the
attack raises the score of a useless answer. The same command resumes an interrupted one.
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
