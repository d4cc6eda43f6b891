"""Tokens written a second by batches side by side, and by one batch at a time with all threads, in turns.

python -m benchmarks.side_by_side       SmolLM2-135M, 24 prompts with four answers each, a minute on two cores
"""

import time
from unittest.mock import patch

from console.table import print_table
from engines.local import transformers_engine
from engines.local.transformers_engine import TransformersEngine
from engines.models import resolve_model
from engines.protocol import Request, Sampling
from records.rows import messages_of
from trainer.prompts.seeds.reading import CONSTRAINED, seed_prompts

N_PROMPTS, N_ANSWERS, NEW_TOKENS = 24, 4, 48


def tokens_per_s(engine: TransformersEngine, asked: list[Request]) -> float:
    started = time.monotonic()
    written = sum(answer.n_tokens or 0 for answer in engine.generate(asked, Sampling(NEW_TOKENS, 1.0, 1.0)))
    return written / (time.monotonic() - started)


def main() -> None:
    prompts = seed_prompts(CONSTRAINED)[:N_PROMPTS]
    asked = [
        Request(messages_of(p.prompt), seed) for seed, p in enumerate(p for p in prompts for _ in range(N_ANSWERS))
    ]
    rows = []
    for batch_size in (32, 96):
        engine = TransformersEngine.load(resolve_model("smollm2"), "smollm2", batch_size)
        with patch.object(transformers_engine, "n_side_by_side", return_value=1):
            one = tokens_per_s(engine, asked)
        side = tokens_per_s(engine, asked)
        rows.append({"batch size": batch_size, "one batch": one, "side by side": side, "ratio": side / one})
    print_table(rows)


if __name__ == "__main__":
    main()
