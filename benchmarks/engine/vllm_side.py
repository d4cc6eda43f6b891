"""vLLM on the same prompts, in a process of another Python that has it. Each line that comes in is a reading to do.

python -m benchmarks.engine.vllm_side MODEL PROMPTS NEW_TOKENS      started by python -m benchmarks.engine
"""

import json
import sys
import time

from benchmarks.engine.prompts import SCORES, TEMPERATURE, TOP_P, requests
from benchmarks.side import arguments
from engines.local.vllm.engine import VllmEngine
from engines.models import resolve_model
from engines.protocol import Request, Sampling


def main() -> None:
    model, n, new_tokens = arguments(__doc__, "MODEL", "PROMPTS", "NEW_TOKENS")
    engine = VllmEngine(model, resolve_model(model))
    asked = {"text": requests("text", int(n)), "logprobs": requests("logprobs", int(n))}
    for reading, some in asked.items():
        done(engine, reading, some[:1], 1)  # loads the model
    for line in sys.stdin:
        engine.loaded.llm.reset_prefix_cache()
        reading = line.strip()
        started = time.process_time()
        count = done(engine, reading, asked[reading], int(new_tokens))
        print(json.dumps({"cpu_s": time.process_time() - started, "n": count}), flush=True)


def done(engine: VllmEngine, reading: str, asked: list[Request], new_tokens: int) -> int:
    """Return the number of tokens written or of prompts read."""
    if reading == "logprobs":
        return sum(len(choice.logprobs) == len(SCORES) for choice in engine.choose(asked, SCORES))
    sampling = Sampling(new_tokens, TEMPERATURE, TOP_P)
    return sum(completion.n_tokens or 0 for completion in engine.generate(asked, sampling))


if __name__ == "__main__":
    main()
