"""Write one page about a run: how its iterations and its judge did, with the texts behind the numbers.

python -m evals.report                  the newest run
python -m evals.report demo             runs/demo
python -m evals.report demo other       two runs side by side, with the settings that differ
python -m evals.report demo --json      the tables as JSON
python -m evals.report demo --push USER/NAME --iteration best     upload a model with its card to the hub

report.html is one file that loads nothing and runs no script: it can be sent, printed and archived. report.md has the
same tables. model_card.md is for the last iteration, to be the README.md beside the model on the hub. What was not
measured is listed with the command that measures it. No model is asked, and nothing but the report is written. --push
makes a private repository and uploads the model, its card as README.md and its results.
"""

from console.command import run
from evals.report.options import Config


def main(config: Config) -> None:
    """Read the runs, write the files, and print where they are."""
    from evals.report.writing import write_report

    write_report(config)


if __name__ == "__main__":
    run(Config, main, "python -m evals.report")
