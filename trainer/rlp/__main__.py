"""Retrain a reward model on the policy's answers, then repeat PPO (Reward Learning on Policy, arXiv 2403.19279).

python -m trainer.rlp --config recipes/rlp_demo.toml
python -m trainer.rlp --config recipes/rlp_demo.toml --name uml --rlp.method uml
python -m trainer.rlp --config recipes/rlp_spg.toml --synthetic.method rlaif --name rlaif
python -m trainer.rlp --config recipes/rlp_spg.toml --dry-run

iter0 is the base model. iter1 is fine-tuned, and its reward model is trained on labelled pairs of its answers. iter2 is
trained from iter1 with PPO on that reward model. For iter3 the reward model is retrained with iter2's answers to the
same prompts, and PPO starts from iter1 again. The same command resumes an interrupted run.
"""

from console.again import starts_again
from console.command import run
from trainer.rlp.recipe import Config


@starts_again
def main(config: Config) -> None:
    """Make the three iterations, measure them on held-out prompts, and print the tables."""
    from trainer.rlp.iterations import run_rlp

    run_rlp(config)


if __name__ == "__main__":
    run(Config, main, "python -m trainer.rlp")
