"""Browse judged preference pairs: a table, and the prompt with both answers side by side.

python -m tui                                     show the last pairs of the newest run
python -m tui demo                                show the last pairs of runs/demo
python -m tui pairs.jsonl                         show a file of pairs
python -m tui pairs.json.gz --json                print the table as JSON
python -m tui demo --screenshot pairs.svg         write a picture of the first pair

SOURCE is a run, a folder such as runs/demo/iter2, or a file of pairs: this project's, TRL's, or two outputs with a
label, as JSONL, JSON, CSV (each also .gz) or Parquet. Press ? on the screen for the keys.
"""

from console.command import run
from tui.options import Config


def main(config: Config) -> None:
    """Load the pairs, then open the screen."""
    from tui.show import show_pairs

    show_pairs(config)


if __name__ == "__main__":
    run(Config, main, "python -m tui")
