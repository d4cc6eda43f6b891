"""Browse judged preference pairs: a table, and the prompt with both answers side by side.

python -m tui                                     the newest run's last pairs
python -m tui demo                                the last pairs of runs/demo (or a run's folder, or runs/demo/iter2)
python -m tui pairs.jsonl                         a file of pairs
python -m tui pairs.json.gz --json                the table as JSON, without the screen
python -m tui demo --screenshot pairs.svg         a picture of the screen with the first pair selected

A file of pairs has this project's rows, TRL's, or two outputs with a label, as JSONL, JSON, CSV (each also .gz) or
Parquet. Press ? on the screen for its keys.
"""

from console.command import run
from tui.options import Config


def main(config: Config) -> None:
    """Load the pairs, then open the screen."""
    from tui.show import show_pairs

    show_pairs(config)


if __name__ == "__main__":
    run(Config, main, "python -m tui")
