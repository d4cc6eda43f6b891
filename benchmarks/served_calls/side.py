"""One client's 1,000 calls for `benchmarks.served_calls`, in a process of its own. Prints seconds as JSON.

python benchmarks/served_calls/side.py WAY URL CALLS IN_FLIGHT     WAY: engine, sdk or sdk-aiohttp
"""

import asyncio
import json
import time
from collections.abc import Callable

from benchmarks.side import arguments

TEXT = "What a judge is shown: a rubric, a prompt and an answer. " * 40


def main() -> None:
    way, url, n_calls, in_flight = arguments(__doc__, "WAY", "URL", "CALLS", "IN_FLIGHT")
    asked = by_engine if way == "engine" else by_sdk
    ask = asked(url, int(in_flight), way)
    ask(int(in_flight))  # connections of this first round are not those of the next, but all code is loaded
    started, used = time.perf_counter(), time.process_time()
    n_answered = ask(int(n_calls))
    seconds, processor_s = time.perf_counter() - started, time.process_time() - used
    print(json.dumps({"answered": n_answered, "seconds": seconds, "processor_s": processor_s}))


def by_engine(url: str, in_flight: int, _: str) -> Callable[[int], int]:
    """Ask as this project's commands do: in the tree that PYTHONPATH names, which may be an older one."""
    from engines.protocol import Request, Sampling
    from engines.served.openai_engine import open_openai

    engine = open_openai("m", url, "NO_KEY", in_flight)

    def ask(n: int) -> int:
        requests = [Request([{"role": "user", "content": f"{number} {TEXT}"}], seed=number) for number in range(n)]
        return sum(found.text.endswith("Score: 4") for found in engine.generate(requests, Sampling()))

    return ask


def by_sdk(url: str, in_flight: int, way: str) -> Callable[[int], int]:
    """Ask with the openai SDK as its own documentation does."""
    from openai import AsyncOpenAI, DefaultAioHttpClient

    async def all_of(n: int) -> int:
        http_client = DefaultAioHttpClient() if way == "sdk-aiohttp" else None
        todo = iter(range(n))
        async with AsyncOpenAI(api_key="none", base_url=url, http_client=http_client) as client:

            async def some() -> int:
                n_answered = 0
                for number in todo:
                    reply = await client.chat.completions.create(
                        model="m",
                        messages=[{"role": "user", "content": f"{number} {TEXT}"}],
                        seed=number,
                        max_tokens=256,
                        temperature=0.7,
                        top_p=0.9,
                    )
                    n_answered += (reply.choices[0].message.content or "").endswith("Score: 4")
                return n_answered

            return sum(await asyncio.gather(*(some() for _ in range(in_flight))))

    return lambda n: asyncio.run(all_of(n))


if __name__ == "__main__":
    main()
