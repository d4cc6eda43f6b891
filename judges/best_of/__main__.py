"""Keep the answer with the highest score to each prompt (best-of-n).

python -m judges.best_of responses.jsonl --reward runs/rm/model        scored by a reward model
python -m judges.best_of responses.jsonl --model iter1                 scored by a judge, with the flags of judges.score
python -m judges.best_of judgments.jsonl                               scored already: no model is asked
python -m judges.best_of responses.jsonl --tool constraints --verify strict    scored by what a program can check

FILE has several answers to each prompt, in any order, in any format that judges.score reads. The output has one answer
per prompt. An answer without a score or a text is never the best, and a prompt without any score is left out and
named. A tie is broken by --seed. FILE's own scores are used if it has some and no flag names a judge. If an answer has
several, their mean counts, or of one judgment's the last one. An interrupted command resumes when it is started again.
"""

from console.again import starts_again
from console.command import run
from judges.best_of.options import Config


@starts_again
def main(config: Config) -> None:
    """Read, score, choose, write and print a table."""
    from judges.best_of.choosing import keep_best

    keep_best(config)


if __name__ == "__main__":
    run(Config, main, "python -m judges.best_of")
