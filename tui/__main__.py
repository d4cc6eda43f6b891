"""Browse the verdicts, filter it, and overrule it: a table, and the selected verdict whole below.

python -m tui                                     show the newest run, and follow it if it is being made
python -m tui demo                                show runs/demo: pairs, judgments, comparisons of all iterations
python -m tui pairs.jsonl judgments.jsonl         show files
python -m tui first second                        show two runs: the key i has their answers side by side
python -m tui demo --blind --queue random         vote without knowing who wrote what
python -m tui demo --filter "flipped:yes margin<1" --json     print these rows as JSON
python -m tui demo --statistics                   print figures: wins, lengths, agreement with people
python -m tui demo --screenshot demo.svg          write a picture of the first row
python -m tui demo --serve                        show the same in a browser, at http://127.0.0.1:8000

SOURCE is a run, a folder such as runs/demo/iter2, or files: judgments, comparisons, pairs or responses of this project,
annotations of AlpacaEval, judgments of MT-Bench and Arena-Hard, pairs of TRL or two outputs with a label, as JSONL,
JSON, CSV (each also .gz) or Parquet. Votes go to votes.jsonl in the run or beside the file. Press ? for the keys.
"""

from console.command import run
from tui.options import Config


def main(config: Config) -> None:
    """Open the rows, then the screen, here or in a browser."""
    if config.serve:
        from tui.serving import serve

        serve(config)
    else:
        from tui.show import show

        show(config)


if __name__ == "__main__":
    run(Config, main, "python -m tui")
