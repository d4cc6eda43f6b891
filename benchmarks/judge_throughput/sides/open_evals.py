"""openevals' asynchronous judge with the openai SDK as its client. It has no runner, so that a loop stores nothing."""

import asyncio
from pathlib import Path

from openai import AsyncOpenAI
from openevals.llm import create_async_llm_as_judge

PROMPT = "Rate how helpful the answer is.\n\nQuestion: {inputs}\n\nAnswer: {outputs}"


def judge(rows: list[dict[str, str]], url: str, in_flight: int, out: Path) -> int:
    """Grade the answers, as many at a time as may be in flight."""
    found = asyncio.run(_all_of(rows, url, in_flight))
    return sum(one["score"] is not None for one in found)


async def _all_of(rows: list[dict[str, str]], url: str, in_flight: int) -> list[dict[str, object]]:
    free = asyncio.Semaphore(in_flight)
    async with AsyncOpenAI(api_key="none", base_url=url) as client:
        evaluate = create_async_llm_as_judge(prompt=PROMPT, judge=client, model="m", continuous=True)

        async def grade(row: dict[str, str]) -> dict[str, object]:
            async with free:
                return await evaluate(inputs=row["prompt"], outputs=row["response"])

        return await asyncio.gather(*map(grade, rows))
