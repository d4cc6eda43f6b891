import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from evals.report.drawing import choice, panels
from evals.report.drawing.panels import Panel
from judges.intervals.bootstrap import Estimate
from judges.judging.win_rate import WinRate
from records import Comparison, Judgment
from records.rows import Usage, pair_of
from records.runs import Run
from trainer.loop.held_out.figures import IterationFigures
from trainer.monitors.following import Following
from trainer.monitors.monitors import Monitors
from trainer.runs.ledger import LedgerLine

HOSTILE = '</div><script>alert(1)</script>&amp; "quoted" \x1b[31m\u202eback\u202c | ]]> <img src=http://evil.test/x>'


def drawn_once(draw: Callable[..., Panel]) -> Callable[..., Panel]:
    """Return `draw` with a memory: pictures take half of a report's time, and the tests have nearly the same."""
    kept: dict[bytes, Panel] = {}

    def once(*of: Any) -> Panel:
        key = pickle.dumps(of)
        if key not in kept:
            kept[key] = draw(*of)
        return kept[key]

    return once


PICTURES = ("curve", "histogram", "lengths")
ONCE = {name: drawn_once(getattr(panels, name)) for name in PICTURES}


@pytest.fixture(autouse=True)
def quick_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, draw in ONCE.items():
        monkeypatch.setattr(choice, name, draw)


@pytest.fixture
def fresh_pictures(quick_pictures: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PICTURES:
        monkeypatch.setattr(choice, name, getattr(panels, name))


def share(value: float, n: int = 20) -> Estimate:
    return Estimate("share", value, max(value - 0.1, 0.0), min(value + 0.1, 1.0), n)


def figures(number: int, follows: float) -> IterationFigures:
    return IterationFigures(
        iteration=number,
        judge="iter1",
        n_prompts=10,
        n_unscored=number,
        mean_score=2.0 + number,
        mean_chars=100.0 * (number + 1),
        win_rate=WinRate(50.0 + number, 4.0, 10, 3, 0, 46.0 + number, 54.0 + number, 10) if number else None,
        following=Following(
            n_prompts=10,
            n_unknown=0,
            follows=share(follows),
            follows_loose=share(follows),
            follows_each=share(follows),
            known_pairs=share(0.6),
            gain=share(follows - 0.1) if number else None,
        ),
        monitors=Monitors(iteration=number, mean_chars=100.0, kl=0.01 * number, top_score=0.25),
    )


def ledger_line(number: int) -> LedgerLine:
    return LedgerLine(
        id=f"iter{number}",
        parent=f"iter{number - 1}",
        reference_model=None,
        prompt_split=None,
        judge="abc123" if number > 1 else None,
        counts={"prompts": 8, "responses": 16, "judged": 16, "pairs": 4},
        mean_score=1.5,
        mean_chars=70.0,
        n_tokens=1234,
        training={"loss": 0.6931},
        seconds=75.0,
    )


def judgment(number: int, text: str, score: float | None, error: str | None = None) -> Judgment:
    return Judgment(
        id=f"j{number}",
        response_id=f"r{number}",
        prompt_id="p1",
        prompt="Say it.",
        response=text,
        model="iter1",
        score=score,
        scores=[score],
        replies=['{"1":-0.6931471805599453,"5":-0.6931471805599453}'] if score is not None else [],
        error=error,
        spread=0.0,
        rubric="additive",
        judge="abc123",
        usage=Usage(n_calls=1),
        read="logprobs",
    )


def comparison(flipped: bool, a: str, b: str) -> Comparison:
    return Comparison(
        id=a + b,
        prompt_id="p1",
        prompt="Which?",
        response_a=a,
        response_b=b,
        model_a="iter0",
        model_b="iter2",
        winner="tie" if flipped else "a",
        first_order="a",
        second_order="b" if flipped else "a",
        flipped=flipped,
        preference_b=0.5,
        replies=["Better: A", "Better: A"],
        error=None,
        rubric="pairwise",
        judge="abc123",
        usage=Usage(),
        read="text",
    )


def jsonl(rows: list[Any]) -> bytes:
    return b"".join(msgspec.json.encode(row) + b"\n" for row in rows)


def checked(n_followed: int) -> dict[str, Any]:
    outcome = "followed" if n_followed else "broken"
    constraint = {"kind": "punctuation:no_comma", "kwargs": {}, "strict": outcome, "loose": outcome, "reason": "said"}
    return {"tool": "constraints", "n_followed": n_followed, "constraints": [constraint]}


@pytest.fixture
def make_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Run]:
    """Write a run of three iterations as the loop does, in runs/ of an empty folder."""
    monkeypatch.chdir(tmp_path)

    def make(name: str = "demo", follows: float = 0.5, seed: int = 0) -> Run:
        run = Run(Path("runs") / name)
        for number in range(3):
            run.iteration(number).mkdir(parents=True)
            path = run.iteration(number) / "metrics.json"
            path.write_bytes(msgspec.json.encode(figures(number, follows * number / 2)))
        run.config.write_text(
            f'[settings]\nseed = {seed}\niterations = 2\n[settings.engine]\nmodel = "smollm2"\n'
            '[versions]\njudgeloop = "v1"\ntorch = "2.13.0"\n'
        )
        run.ledger.write_bytes(jsonl([ledger_line(1), ledger_line(2)]))
        texts = [f"answer {n}" for n in range(6)]
        rows = [judgment(n, text, float(n)) for n, text in enumerate(texts)]
        rows += [judgment(6, HOSTILE, 5.0), judgment(7, "none", None, "the reply has no verdict")]
        (run.iteration(2) / "judgments.jsonl").write_bytes(jsonl(rows))
        pairs = [
            pair_of("Say it.", "p1", HOSTILE, texts[0], (5.0, 0.0)),
            pair_of("Say it.", "p1", texts[3], texts[2], (3.0, 2.9)),
            pair_of("Say it.", "p1", texts[4], texts[1], (4.0, 1.0), evidence=[checked(0), checked(1)]),
        ]
        (run.iteration(2) / "pairs.jsonl").write_bytes(jsonl(pairs))
        (run.folder / "eval").mkdir()
        compared = [
            comparison(True, "one", "two"),
            comparison(True, "same", "same"),
            comparison(False, "three", "four"),
        ]
        (run.folder / "eval" / "comparisons.jsonl").write_bytes(jsonl(compared))
        return run

    return make
