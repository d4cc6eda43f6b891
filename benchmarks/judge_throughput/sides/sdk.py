"""A bare loop on the openai SDK, as its documentation has it. It writes its file at the end."""

import asyncio
import json
import re
from pathlib import Path

from openai import AsyncOpenAI

PROMPT = "Rate the answer from 0 to 5. End with 'Score: N'.\n\nQuestion: {prompt}\n\nAnswer: {response}"


def judge(rows: list[dict[str, str]], url: str, in_flight: int, out: Path) -> int:
    """Ask for a score of each answer."""
    found = asyncio.run(_all_of(rows, url, in_flight))
    out.with_suffix(".jsonl").write_text("".join(json.dumps(one) + "\n" for one in found), encoding="utf-8")
    return sum(one["score"] is not None for one in found)


async def _all_of(rows: list[dict[str, str]], url: str, in_flight: int) -> list[dict[str, object]]:
    free = asyncio.Semaphore(in_flight)
    async with AsyncOpenAI(api_key="none", base_url=url) as client:

        async def score(row: dict[str, str]) -> dict[str, object]:
            async with free:
                messages = [{"role": "user", "content": PROMPT.format(**row)}]
                reply = await client.chat.completions.create(
                    model="m", messages=messages, max_tokens=256, temperature=0
                )
                text = reply.choices[0].message.content or ""
                number = re.search(r"Score: (\d)", text)
                return {"id": row["id"], "reply": text, "score": number and int(number[1])}

        return await asyncio.gather(*map(score, rows))
