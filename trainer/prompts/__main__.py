"""Generate prompts: a model continues lists of tasks, and filters keep the new, suitable ones (Self-Instruct).

python -m trainer.prompts                                     64 packaged seeds, the packaged model
python -m trainer.prompts seed_tasks.jsonl --model meta-llama/Llama-2-70b-chat-hf --base-url http://localhost:8000/v1
python -m trainer.prompts seeds.jsonl --model iter2 --run mine --n 1000 --out runs/prompts/round3.jsonl
python -m trainer.prompts seeds.jsonl --exclude round1.jsonl round2.jsonl --against alpaca_eval.json held_out.jsonl
python -m trainer.prompts seeds.jsonl --out runs/prompts/round3.jsonl --refilter --max-rouge 0.6      asks no model

FILE has prompts that people wrote, in any format that judges.score reads. Every completion is stored beside the
result, so an interrupted command resumes when it is started again, and --refilter filters the completions again.
"""

from console.again import starts_again
from console.command import run
from trainer.prompts.options import Config


@starts_again
def main(config: Config) -> None:
    """Make the prompts and print the counts."""
    from trainer.prompts.make import make_prompts

    make_prompts(config)


if __name__ == "__main__":
    run(Config, main, "python -m trainer.prompts")
