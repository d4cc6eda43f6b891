"""Near-duplicates by ROUGE-L among 100,000 prompts on one core, against rouge-score.

python -m benchmarks.self_instruct instructions.jsonl more.jsonl        100 new texts against 100,000, two minutes
python -m benchmarks.self_instruct instructions.jsonl --pool 10000 --new 20

The files give the lengths, words and word sequences: a text has the length of one instruction and consists of sequences
of three to eight words of others. Half of the new texts are made this way, and half are texts of the pool with up to
half of their words replaced. rouge-score, and rapidfuzz without the bound, are timed on a sample of the same pairs and
must name the same nearest text, with the same score, for each of its new texts.
"""

import os
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, TypeVar

import tyro
from rouge_score.rouge_scorer import RougeScorer

from console.progress import say
from console.table import Cell, print_table
from records import text_of
from records.files import BadRows
from records.shapes import read_prompts
from trainer.prompts.rouge import Match, RougeIndex, rouge_l

ResultT = TypeVar("ResultT")
THRESHOLD = 0.7
MAX_WORDS = 150
"""The longest prompt. Longer texts are left out."""


@dataclass(frozen=True)
class Config:
    """The benchmark's settings."""

    files: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Instructions, in any format that judges.score reads."""
    pool: int = 100_000
    new: int = 100
    sample_pool: int = 2_000
    """Texts of the pool that the peers compare with."""
    sample_new: int = 20
    """New texts that the peers look for."""


def main(config: Config) -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    pool, new = texts(config)
    say(f"{sum(len(text.split()) for text in pool) / len(pool):.1f} words per text of the pool")
    index, building = timed(lambda: RougeIndex(THRESHOLD, pool))
    matches, searching = timed(lambda: [index.nearest(text) for text in new])
    say(f"{sum(match is not None for match in matches)} of {len(new)} new texts have a near-duplicate")
    sample_pool, sample_new = pool[: config.sample_pool], new[:: max(1, len(new) // config.sample_new)]
    n_sampled = len(sample_pool) * len(sample_new)
    ours = [RougeIndex(THRESHOLD, sample_pool).nearest(text) for text in sample_new]
    rows = [
        row("index", len(pool), building),
        row("search", len(pool) * len(new), searching),
    ]
    for name, measure in (("peer: rapidfuzz, every pair", rouge_l), ("peer: rouge-score, every pair", peer())):
        theirs, seconds = timed(partial(all_nearest, sample_new, sample_pool, measure))
        say(f"{name}: the same text and score for {sum(map(same, ours, theirs))} of {len(sample_new)} new texts")
        rows.append(row(name, n_sampled, seconds))
    print_table(rows)


def texts(config: Config) -> tuple[list[str], list[str]]:
    """Return the pool and the new texts."""
    read = [text_of(prompt.prompt) for file in config.files for prompt in read_prompts(file, BadRows())]
    source = [words for text in read if 4 <= len(words := text.split()) <= MAX_WORDS]
    say(f"{len(source)} instructions")
    draw = random.Random(0)

    def made() -> str:
        n_words, words = len(draw.choice(source)), list[str]()
        while len(words) < n_words:
            other = draw.choice(source)
            start = draw.randrange(len(other))
            words += other[start : start + draw.randint(3, 8)]
        return " ".join(words[:n_words])

    def changed(text: str) -> str:
        share = draw.uniform(0, 0.5)
        return " ".join(draw.choice(draw.choice(source)) if draw.random() < share else word for word in text.split())

    pool = [made() for _ in range(config.pool)]
    # made from the first texts, which the peers see too
    near = [changed(pool[draw.randrange(min(config.sample_pool, len(pool)))]) for _ in range(config.new // 2)]
    new = near + [made() for _ in range(config.new - len(near))]
    draw.shuffle(new)
    return pool, new


def peer() -> Callable[[str, str], float]:
    scorer = RougeScorer(["rougeL"])
    return lambda target, text: float(scorer.score(target, text)["rougeL"].fmeasure)


def all_nearest(new: Sequence[str], pool: Sequence[str], measure: Callable[[str, str], float]) -> list[Match | None]:
    return [nearest(text, pool, measure) for text in new]


def nearest(text: str, pool: Sequence[str], measure: Callable[[str, str], float]) -> Match | None:
    scores = [measure(other, text) for other in pool]
    best = max(range(len(scores)), key=lambda position: round(scores[position], 9))
    return Match(best, scores[best]) if scores[best] >= THRESHOLD - 1e-9 else None


def same(ours: Match | None, theirs: Match | None) -> bool:
    if ours is None or theirs is None:
        return ours is theirs
    return ours.position == theirs.position and abs(ours.score - theirs.score) < 1e-9


def timed(work: Callable[[], ResultT]) -> tuple[ResultT, tuple[float, float]]:
    started_s, started_cpu_s = time.perf_counter(), time.process_time()
    result = work()
    return result, (time.perf_counter() - started_s, time.process_time() - started_cpu_s)


def row(name: str, n: int, seconds: tuple[float, float]) -> dict[str, Cell]:
    return {
        "step": name,
        "texts or pairs": n,
        "seconds": seconds[0],
        "CPU seconds": seconds[1],
        "CPU microseconds each": 1e6 * seconds[1] / n,
    }


if __name__ == "__main__":
    main(tyro.cli(Config, prog="python -m benchmarks.self_instruct"))
