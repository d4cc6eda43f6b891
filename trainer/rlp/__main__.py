"""Retrain the reward model on the policy's answers and optimise again (Reward Learning on Policy, arXiv 2403.19279).

python -m trainer.rlp --config recipes/rlp_demo.toml
python -m trainer.rlp --config recipes/rlp_demo.toml --name uml --rlp.method uml
python -m trainer.rlp --config recipes/rlp_spg.toml --synthetic.method rlaif --name rlaif
python -m trainer.rlp --config recipes/rlp_spg.toml --dry-run

iter0 is the base model and iter1 its fine-tuning, with a reward model trained on labelled pairs of its answers. iter2
is PPO on that reward model. iter3 retrains the reward model with iter2's answers to the same prompts, and is PPO from
iter1 on the retrained one. An interrupted run resumes when the same command is started again.
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
