"""PPO of this project against that of TRL 1.12.0, the last version that has it: reward, time per step, memory.

python3.11 -m venv /tmp/trl112
/tmp/trl112/bin/pip install torch==2.13.0 trl==1.12.0 transformers==5.19.0
python -m benchmarks.ppo_vs_trl --venv /tmp/trl112
python -m benchmarks.ppo_vs_trl --venv /tmp/trl112 --repeats 1 --larger.steps 2

Both are rewarded for a word and penalised by the same price per nat, with the same model, seed, number of steps,
answers per step, epochs and learning rate. The first model has nine words, so that all its answers can be enumerated
and reward and KL are exact, at several prices. The best reward at a given KL is that of the reference tilted by
exp(reward / price). The second, larger model measures time and memory. Each side is a process of its own, and they take
turns. A step lasts from one request for rewards to the next, in CPU time, so that other processes do not count. The
first one is left out. Peak memory is the growth of the resident set after the libraries are loaded.
"""

import json
import math
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
import tyro
from scipy.optimize import brentq
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from benchmarks.iteration.__main__ import ENVIRONMENT
from benchmarks.ppo_vs_trl.sides import PAID, WORDS, Work
from console.output import tell
from console.progress import say
from console.table import Cell, print_table

SIDES = {"ours": "this project", "trl": "TRL 1.12.0"}
PRICES = (0.25, 0.5, 1.0)
END = 2


def _larger() -> Work:
    return Work(
        words=4000, hidden=128, layers=2, prompt=32, response=32, answers=32, updates=2, epochs=2, steps=4,
        learning_rate=1e-4, kl_coef=0.05,
    )  # fmt: skip


@dataclass(frozen=True)
class Config:
    """The benchmark's settings."""

    venv: Path
    """A virtual environment with TRL 1.12.0. The top of this file says how to make it."""
    toy: Work = field(default_factory=Work)
    larger: Work = field(default_factory=_larger)
    prices: tuple[float, ...] = PRICES
    """The prices of a nat on the toy. An empty list leaves the toy out."""
    repeats: int = 3
    """Repeats of the larger model; 0 leaves it out."""


def main(config: Config) -> None:
    pythons = {"ours": sys.executable, "trl": str(config.venv / "bin" / "python")}
    if not Path(pythons["trl"]).exists():
        raise SystemExit(f"{config.venv} has no bin/python; make it as the first lines of this file say")
    with tempfile.TemporaryDirectory(prefix="ppo-") as name:
        if config.prices:
            print_table(
                [cells for price in config.prices for cells in toy_rows(config.toy, price, pythons, Path(name))]
            )
            tell()
        if config.repeats:
            print_table(larger_rows(config, pythons, Path(name)))


def toy_rows(work: Work, price: float, pythons: dict[str, str], folder: Path) -> list[dict[str, Cell]]:
    """Return for each side the exact reward and KL of its policy at `price`."""
    work, here, rows = replace(work, kl_coef=price), folder / f"toy-{price}", []
    reference = make_model(work, here)
    for side, title in SIDES.items():
        measured(side, work, here, pythons[side])
        reward, kl = exact(here / side, reference, work)
        start, best = tilted(reference, work, 0.0)[0], best_at(reference, work, kl)
        rows.append(
            {
                "price of a nat": price,
                "side": title,
                "KL": kl,
                "reward": reward,
                "best at this KL": best,
                "share of the gain": (reward - start) / (best - start),
                "reward - price x KL": reward - price * kl,
            }
        )
    return rows


def larger_rows(config: Config, pythons: dict[str, str], folder: Path) -> list[dict[str, Cell]]:
    """Return each side's time and memory, medians over the repeats. A ratio is the median of those within a repeat."""
    runs: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    for repeat in range(config.repeats):
        here = folder / f"larger-{repeat}"
        make_model(config.larger, here)
        for side in SIDES:
            runs[side].append(measured(side, config.larger, here, pythons[side]))
        say(f"{repeat + 1} of {config.repeats} done")
    rows: list[dict[str, Cell]] = []
    for side, title in SIDES.items():
        cells: dict[str, Cell] = {"side": title}
        for figure in ("seconds a step", "peak, MiB"):
            cells[figure] = median(figures[figure] for figures in runs[side])
            both = zip(runs[side], runs["ours"], strict=True)
            cells[f"{figure} / ours"] = median(theirs[figure] / ours[figure] for theirs, ours in both)
        rows.append(cells)
    return rows


def make_model(work: Work, folder: Path) -> Path:
    """Return a random model in `folder` whose first words are those of the toy."""
    known = [*WORDS, *(f"w{number}" for number in range(work.words - len(WORDS)))]
    words = Tokenizer(models.WordLevel({word: n for n, word in enumerate(known)}, unk_token="<pad>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", bos_token="<s>", eos_token="</s>", padding_side="left",
        chat_template="<s> {% for m in messages %}{{ m['content'] }} {% endfor %}",
    )  # fmt: skip
    torch.manual_seed(work.seed)
    config = AutoConfig.for_model(
        "llama", vocab_size=len(known), hidden_size=work.hidden, intermediate_size=2 * work.hidden,
        num_hidden_layers=work.layers, num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=256,
        initializer_range=0.3 if work.words == len(WORDS) else 0.02, pad_token_id=0, bos_token_id=1, eos_token_id=END,
    )  # fmt: skip
    AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    return folder / "model"


def measured(side: str, work: Work, folder: Path, python: str) -> dict[str, float]:
    """Train one side in a process of its own. Its policy is saved in `folder` under the side's name."""
    (folder / "work.json").write_text(json.dumps(asdict(work)))
    command = [python, "-m", "benchmarks.ppo_vs_trl.sides", side, str(folder)]
    process = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | ENVIRONMENT)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{process.stderr[-2000:]}")
    printed: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    seconds = median(printed["seconds"])
    say(f"{SIDES[side]}: {seconds:.3f} s per step, {printed['peak_mib']:.0f} MiB")
    return {"seconds a step": seconds, "peak, MiB": printed["peak_mib"]}


def exact(policy: Path, reference: Path, work: Work) -> tuple[float, float]:
    """Return E[reward] and KL(policy || reference) over all answers of the toy."""
    weighed = answers(policy, reference, work)
    return sum(math.exp(p) * reward for p, _, reward in weighed), sum(math.exp(p) * (p - q) for p, q, _ in weighed)


def tilted(reference: Path, work: Work, weight: float) -> tuple[float, float]:
    """Return E[reward] and KL of the reference times exp(weight x reward), which has the most reward for its KL."""
    weighed = answers(reference, reference, work)
    partition = math.fsum(math.exp(q + weight * reward) for _, q, reward in weighed)
    mean = math.fsum(math.exp(q + weight * reward) * reward for _, q, reward in weighed) / partition
    return mean, weight * mean - math.log(partition)


def best_at(reference: Path, work: Work, kl: float) -> float:
    """Return the most reward of any policy at most `kl` nats from the reference."""
    weight = brentq(lambda weight: tilted(reference, work, weight)[1] - kl, 0.0, 50.0)
    return tilted(reference, work, weight)[0]


def answers(policy: Path, reference: Path, work: Work) -> list[tuple[float, float, int]]:
    """Return the log-probability of every answer under both models, and its reward."""
    return _answers(policy, reference, work.response, asked(work))


def asked(work: Work) -> list[int]:
    """Return the tokens of the toy's only prompt."""
    return [1, *[WORDS.index("ask")] * work.prompt]


_KNOWN: dict[tuple[Path, Path], list[tuple[float, float, int]]] = {}


def _answers(policy: Path, reference: Path, n_tokens: int, prompt: list[int]) -> list[tuple[float, float, int]]:
    if (policy, reference) in _KNOWN:
        return _KNOWN[policy, reference]

    models = [AutoModelForCausalLM.from_pretrained(entry, dtype=torch.float32).eval() for entry in (policy, reference)]
    ended: list[tuple[float, float, int]] = []
    open_ones: list[tuple[list[int], float, float]] = [([], 0.0, 0.0)]
    for depth in range(n_tokens):
        ids = torch.tensor([prompt + tokens for tokens, _, _ in open_ones])
        with torch.inference_mode():
            policy_logprobs, reference_logprobs = (
                model(ids).logits[:, -1].double().log_softmax(-1).tolist() for model in models
            )
        grown = [
            ([*tokens, word], p + policy_logprobs[place][word], q + reference_logprobs[place][word])
            for place, (tokens, p, q) in enumerate(open_ones)
            for word in range(len(WORDS))
        ]
        done = [entry for entry in grown if entry[0][-1] == END or depth == n_tokens - 1]
        ended += [(p, q, tokens.count(PAID)) for tokens, p, q in done]
        open_ones = [entry for entry in grown if entry[0][-1] != END]
    return _KNOWN.setdefault((policy, reference), ended)


if __name__ == "__main__":
    main(tyro.cli(Config, prog="python -m benchmarks.ppo_vs_trl"))
