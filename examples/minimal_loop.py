"""Run one round of self-rewarding: answer, judge, pair, train, compare.

python examples/minimal_loop.py
python examples/minimal_loop.py --model runs/demo/iter1/model --prompts 8

The method is Self-Rewarding Language Models (arXiv 2401.10020). The default
model is the packaged SmolLM2-135M-Instruct, and a round takes minutes on a CPU.
`python -m trainer.loop` runs many rounds, resumes after a crash and keeps a
ledger. This file has the method alone, built from the library's functions. It
writes the loop's row formats: `python -m tui runs/minimal/pairs.jsonl` opens them.
"""

import argparse
import gc
import os
from pathlib import Path

os.environ.setdefault("TQDM_DISABLE", "1")  # each stage prints its own progress

from engines.answers import answer_into
from engines.local.transformers_engine import TransformersEngine
from engines.models import resolve_model
from engines.protocol import Sampling
from judges.judging.judge import Judge, judge_into, open_judge
from judges.judging.pairwise import Contest, compare_into
from judges.judging.win_rate import win_rate
from judges.options import PAIRWISE, JudgeOptions
from records import Comparison, Judgment, Prompt, Response, Store
from records.store import write_rows
from trainer.dpo.options import DPOOptions
from trainer.dpo.train import train_dpo
from trainer.pairs.options import PairOptions
from trainer.pairs.pairing import make_pairs
from trainer.prompts.seeds.reading import seed_prompts

N_CANDIDATES = 4  # answers per prompt, as in the paper
N_HELD_OUT = 4  # prompts for the comparison, never trained on
SAMPLING = Sampling(max_new_tokens=128, temperature=0.7, top_p=0.9)
GREEDY = Sampling(max_new_tokens=128, temperature=0.0)


def answer(path: Path, engine: TransformersEngine, prompts: list[Prompt], n: int, sampling: Sampling) -> list[Response]:
    """Return `n` answers per prompt. Answers that are already in `path` are reused."""
    with Store(path, Response) as store:
        return answer_into(store, engine, prompts, sampling, n=n)


def score(path: Path, judge: Judge, responses: list[Response]) -> list[Judgment]:
    """Return the judge's score of each answer. If there is no verdict, the score is None and `error` says why."""
    with Store(path, Judgment) as store:
        return judge_into(store, judge, responses, "judging")


def main() -> None:
    """Run the round and print the win rate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2", help="a folder, a hub id, or smollm2")
    parser.add_argument("--prompts", type=int, default=16, help="number of training prompts")
    parser.add_argument("--out", type=Path, default=Path("runs/minimal"), help="output folder")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)

    prompts = seed_prompts(None)
    held_out, learnt = prompts[:N_HELD_OUT], prompts[N_HELD_OUT : N_HELD_OUT + options.prompts]
    parent = resolve_model(options.model, None)

    # 1. The model answers each prompt several times.
    engine = TransformersEngine.load(parent, "parent")
    responses = answer(options.out / "responses.jsonl", engine, learnt, N_CANDIDATES, SAMPLING)
    before = answer(options.out / "before.jsonl", engine, held_out, 1, GREEDY)

    # 2. The same model scores its answers with the additive five-point rubric. A score is the expected value of the
    #    tokens 0 to 5 under the model's probabilities. This takes one forward pass per answer and no sampling.
    judge = open_judge(engine, JudgeOptions(rubric="additive", read="logprobs"), options.seed)
    judgments = score(options.out / "judgments.jsonl", judge, responses)

    # 3. The best and the worst answer to a prompt make a preference pair.
    pairs, counts = make_pairs(judgments, PairOptions(), options.seed)
    write_rows(options.out / "pairs.jsonl", pairs)
    print(f"{counts.n_pairs} pairs from {counts.n_prompts} prompts, {counts.n_unscored} answers without a verdict")
    del engine, judge
    gc.collect()  # training needs the memory

    # 4. DPO trains the model on the pairs, with the model before training (the parent) as the reference.
    child = options.out / "model"
    if not child.exists():
        trained = train_dpo(parent, child, pairs, DPOOptions(), options.seed)
        print(f"{trained.n_steps} steps, mean loss {trained.loss:.3f}")

    # 5. The parent compares its answers to the held-out prompts with the child's, in both orders.
    after = answer(options.out / "after.jsonl", TransformersEngine.load(child, "child"), held_out, 1, GREEDY)
    judge = open_judge(TransformersEngine.load(parent, "parent"), PAIRWISE, options.seed)
    contests = [
        Contest(old.prompt_id, old.prompt, old.response, new.response, "parent", "child")
        for old, new in zip(before, after, strict=True)
    ]
    with Store(options.out / "comparisons.jsonl", Comparison) as store:
        comparisons = compare_into(store, judge, contests, "comparing")
    print(f"the child's win rate against its parent, %: {win_rate(comparisons)}")


if __name__ == "__main__":
    main()
