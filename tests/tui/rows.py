"""Rows and a small run for the tests of the screen and of the code below it."""

from pathlib import Path
from typing import Any

import numpy as np

from records.rows import Comparison, Judgment, Pair, Usage, Vote
from records.store import write_rows
from tui.filters.fields import View
from tui.filters.language import parse_filter
from tui.reading.sources import find_source
from tui.reading.table import Table
from tui.voting.log import open_votes
from tui.voting.tally import Tally

ROOT_OF = Path(__file__).parents[2]
BROKEN = {
    "tool": "constraints",
    "n_broken": 1,
    "constraints": [
        {"kind": "change_case:english_lowercase", "strict": "broken", "loose": "broken", "reason": "it has an A"},
        {"kind": "punctuation:no_comma", "strict": "followed", "loose": "followed", "reason": "no comma"},
    ],
}


def pair(prompt: str, chosen: str, rejected: str, **known: Any) -> Pair:
    return Pair(
        prompt=[{"role": "user", "content": prompt}],
        chosen=[{"role": "assistant", "content": chosen}],
        rejected=[{"role": "assistant", "content": rejected}],
        **{"prompt_id": prompt[:8], **known},
    )


def judgment(prompt: str, response: str, score: float | None, **known: Any) -> Judgment:
    fields: dict[str, Any] = {
        "id": f"j-{prompt}-{response}-{score}",
        "response_id": f"r-{response}",
        "prompt_id": prompt[:8],
        "prompt": prompt,
        "response": response,
        "model": "iter1",
        "score": score,
        "scores": [score],
        "replies": [] if score is None else [f"It is fine.\nScore: {score}"],
        "error": "no verdict in the reply" if score is None else None,
        "spread": None if score is None else 0.25,
        "rubric": "additive",
        "judge": "f00d",
        "usage": Usage(n_calls=1, n_prompt_tokens=20, n_tokens=7),
    }
    return Judgment(**{**fields, **known})


def comparison(prompt: str, a: str, b: str, winner: Any, **known: Any) -> Comparison:
    flipped = known.pop("flipped", False)
    fields: dict[str, Any] = {
        "id": f"c-{prompt}-{a}-{b}",
        "prompt_id": prompt[:8],
        "prompt": prompt,
        "response_a": a,
        "response_b": b,
        "model_a": "ours",
        "model_b": "theirs",
        "winner": winner,
        "first_order": "a" if flipped else winner,
        "second_order": "b" if flipped else winner,
        "flipped": None if winner is None else flipped,
        "preference_b": {"a": 0.2, "b": 0.8, "tie": 0.5, None: None}[winner],
        "replies": ["A is clearer.", "Still A."],
        "reply_orders": ["ab", "ba"],
        "error": None if winner else "timeout",
        "rubric": "pairwise",
        "judge": "cafe",
        "usage": Usage(n_calls=2),
    }
    return Comparison(**{**fields, **known})


PAIRS = [
    pair("apples", "good apple", "bad", chosen_score=3.0, rejected_score=2.5, margin=0.5, judge="f00d"),
    pair("berries", "good berry", "bad", chosen_score=5.0, rejected_score=1.0, margin=4.0, judge="f00d"),
    pair("cherries", "good cherry", "bad and long", margin=None),
    pair("dates", "good date", "bad", chosen_score=4.0, rejected_score=2.0, margin=2.0, judge="f00d"),
]
COMPARISONS = [
    comparison("sql?", "Use SQL.", "no", "a"),
    comparison("why?", "because", "no reason at all", "b"),
    comparison("when?", "now", "later", "tie", flipped=True),
    comparison("who?", "me", "you", None),
]


def saved(path: Path, rows: list[Any]) -> Path:
    write_rows(path, rows)
    return path


def a_run(folder: Path) -> Path:
    """Make a run of two iterations with judgments of four answers a prompt, and the pairs of them."""
    run = folder / "runs" / "small"
    for number in (1, 2):
        rows, pairs = [], []
        for prompt in ("name a fruit", "name a tool", "name a bird"):
            texts = [f"{prompt}: answer {letter} of iter{number}" for letter in "wxyz"]
            own = [
                judgment(prompt, text, score, model=f"iter{number - 1}", evidence=BROKEN if score == 1.0 else None)
                for text, score in zip(texts, (1.0 + number, 3.0, 1.0, None), strict=True)
            ]
            rows += own
            pairs.append(
                pair(prompt, texts[1], texts[2], chosen_score=3.0, rejected_score=1.0, margin=2.0, judge="f00d")
            )
        saved(run / f"iter{number}" / "judgments.jsonl", rows)
        saved(run / f"iter{number}" / "pairs.jsonl", pairs)
    (run / "eval").mkdir()
    (run / "eval" / "iter1_checks.jsonl").write_text('{"id": "no row of the table"}\n')
    (run / "run.toml").write_text("")
    return run


def view_of(*paths: Path, votes: Path | None = None) -> View:
    source = find_source(list(paths))
    table = Table(source).read_all()
    return View(table, table.rows, Tally(table, open_votes(*([votes] if votes else source.vote_files()))))


def kept(view: View, line: str) -> list[int]:
    """Return the numbers of the rows that pass the terms of a filter."""
    return (np.flatnonzero(parse_filter(line).mask(view)) + 1).tolist()


def vote(prompt: str, a: str, b: str, winner: Any, voter: str = "ann", at: str = "2026-01-01T00:00:00Z") -> Vote:
    return Vote(at=at, voter=voter, prompt_id=prompt[:8], a_id=a, b_id=b, winner=winner, blind=False)
