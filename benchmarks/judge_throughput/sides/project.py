"""`judges.score` as a user types it."""

import json
from pathlib import Path

from console.command import parse
from judges.score.__main__ import Config, main


def judge(rows: list[dict[str, str]], url: str, in_flight: int, out: Path) -> int:
    """Score the answers once each, by a text reply."""
    file, judgments = out.with_suffix(".answers.jsonl"), out.with_suffix(".jsonl")
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    flags = ["--read", "text", "--samples", "1", "--model", "slow", "--base-url", url]
    main(parse(Config, [str(file), *flags, "--concurrency", str(in_flight), "--out", str(judgments)], "judges.score"))
    lines = judgments.read_text(encoding="utf-8").splitlines()
    return sum(json.loads(line)["score"] is not None for line in lines)
