"""The judge on vLLM and `LLM.generate`, on one engine in one process. Each line that comes in is a side to run.

python -m benchmarks.judge_throughput.vllm_side MODEL ROWS TOKENS SAMPLES DTYPE

`python -m benchmarks.judge_throughput` starts it.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks.side import arguments
from console.command import parse
from engines.chat.taken import Taken
from engines.local.vllm.engine import VllmEngine
from engines.models import resolve_model
from engines.protocol import Completion, Request, Sampling
from judges.score.__main__ import Config
from judges.score.__main__ import main as score


@dataclass
class Asked:
    """Remembers what it is asked and answers nothing of use."""

    name: str = "asked"
    digest: str = "asked"
    requests: list[Request] = field(default_factory=list)
    sampling: Sampling = field(default_factory=Sampling)

    def generate(
        self, requests: Sequence[Request], sampling: Sampling, done: Collection[int] = ()
    ) -> Iterator[Completion]:
        """Yield one reply for all. See `engines.protocol.Engine`."""
        self.requests += [request for index, request in enumerate(requests) if index not in done]
        self.sampling = sampling
        yield from (Completion(index, "Score: 4", "stop") for index in range(len(requests)) if index not in done)


def main() -> None:
    name, rows, new_tokens, samples, dtype = arguments(__doc__, "MODEL", "ROWS", "TOKENS", "SAMPLES", "DTYPE")
    engine = VllmEngine(name, resolve_model(name), dtype=dtype)
    text = ["--read", "text", "--samples", samples, "--max-new-tokens", new_tokens]
    judge(asked := Asked(), Path(rows), text)
    raw = raw_side(engine, asked)
    sides: dict[str, Callable[[], list[str]]] = {
        "ours": lambda: judge(engine, Path(rows), text),
        "logprobs": lambda: judge(engine, Path(rows), ["--read", "logprobs"]),
        "raw": lambda: [output.outputs[0].text for output in raw()],
    }
    for line in sys.stdin:
        engine.loaded.llm.reset_prefix_cache()
        started, used = time.perf_counter(), time.process_time()
        replies = sides[line.strip()]()
        seconds, processor_s = time.perf_counter() - started, time.process_time() - used
        print(json.dumps({"wall_s": seconds, "processor_s": processor_s, "replies": replies}), flush=True)


def judge(engine: Any, rows: Path, flags: list[str]) -> list[str]:
    """Run `judges.score` as a user types it, but on this engine, and return the replies as they come."""
    with tempfile.TemporaryDirectory() as folder, patch("judges.score.scoring.open_engine", lambda options: engine):
        out = Path(folder) / "judgments.jsonl"
        flags = [*flags, "--min-coverage", "0", "--out", str(out)]  # a small model's replies may have no score
        score(parse(Config, [str(rows), *flags], "judges.score"))
        judgments = map(json.loads, out.read_text(encoding="utf-8").splitlines())
        return [reply for judgment in judgments for reply in judgment["replies"]]


def raw_side(engine: VllmEngine, asked: Asked) -> Callable[[], list[Any]]:
    """Return `LLM.generate` on the tokens of the judge's prompts, with the settings that the judge gives vLLM."""
    model = engine.loaded
    taken = Taken.of(model.tokenizer, asked.requests)
    prompts = [{"prompt_token_ids": ids} for ids in taken.encoded(model.tokenizer, taken.requests, "")]
    params = [model._sampled(request, asked.sampling) for request in taken.requests]
    for one in params:
        one.detokenize = True  # its user reads texts
    model.llm.generate(prompts[:1], params[:1], use_tqdm=False)  # starts what starts late
    return lambda: model.llm.generate(prompts, params, use_tqdm=False)


if __name__ == "__main__":
    main()
