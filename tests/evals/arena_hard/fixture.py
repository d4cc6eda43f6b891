"""A small data folder in arena-hard-auto's layout, made of nothing but a seed: two models, two categories, one judge.

The numbers in `test_arena_scores.py` and `test_style_control.py` come from arena-hard-auto's own functions on this
folder.
"""

import json
import random
from pathlib import Path
from typing import Any

from evals.arena_hard.files.judgments import read_judgments
from evals.arena_hard.files.stored import answers_of
from evals.arena_hard.options import Config
from evals.arena_hard.scoring.controlled import Settings
from evals.arena_hard.scoring.scores import CategoryScores, scores_of
from records.files import BadRows

CATEGORIES = {"hard_prompt": ("o3-mini-2025-01-31", 24), "creative_writing": ("gemini-2.0-flash-001", 10)}
MODELS = ("plain-model", "styled-model")
JUDGE = "a-judge"
VERDICTS = ("A>>B", "A>B", "A=B", "B>A", "B>>A")


def write_fixture(folder: Path) -> Path:
    """Write question.jsonl, model_answer/ and model_judgment/a-judge/ under `folder`, and return it."""
    draw = random.Random(7)
    questions = [
        {"uid": f"{category[:4]}-{n:02}", "category": category, "prompt": f"Task {n} of {category}"}
        for category, (_, n_prompts) in CATEGORIES.items()
        for n in range(n_prompts)
    ]
    answers: dict[str, list[dict[str, Any]]] = {}
    for question in questions:
        baseline, _ = CATEGORIES[question["category"]]
        for model in (baseline, *MODELS):
            answers.setdefault(model, []).append(answer(question, model, draw))
    judgments = {model: [judgment(question, model, answers, draw) for question in questions] for model in MODELS}
    judgments[MODELS[0]][3]["games"][1]["score"] = None  # a reply without a verdict
    judgments[MODELS[1]][5]["games"][0] = None  # a failed call
    judgments[MODELS[1]][26]["games"][0]["score"] = "A<<B"  # as some judges write it
    _write(folder / "question.jsonl", questions)
    for model, rows in answers.items():
        _write(folder / "model_answer" / f"{model}.jsonl", rows)
    for model, rows in judgments.items():
        _write(folder / "model_judgment" / JUDGE / f"{model}.jsonl", rows)
    return folder


def scored(folder: Path, settings: Settings | None = None, category: str | None = None) -> dict[str, CategoryScores]:
    """Return the scores of the fixture by category, or of one `category` alone."""
    config = Config(judgments=(folder / "model_judgment" / JUDGE,))
    judged = read_judgments(config.judgments, BadRows(strict=True))
    judged = [game for game in judged if category in (None, game.category)]
    answers = answers_of(judged, config, BadRows(strict=True))
    return {scores.category: scores for scores in scores_of(judged, answers, settings or Settings(resamples=200))}


def answer(question: dict[str, str], model: str, draw: random.Random) -> dict[str, Any]:
    words = draw.randint(20, 60) * (3 if model == "styled-model" else 1)
    parts = [" ".join(["word"] * words)]
    if model == "styled-model" or draw.random() < 0.4:
        parts += [f"{'#' * draw.randint(1, 3)} Part {n}" for n in range(draw.randint(1, 3))]
        parts += [f"{n}. a step" for n in range(1, draw.randint(2, 5))]
        parts += [f"- **bold** point {n}" for n in range(draw.randint(0, 4))]
    parts += ["some __bold__ words"] * draw.randint(0, 2)
    if draw.random() < 0.3:
        parts.append("```python\n# no header\n- no list\n**no bold**\n```")
    text = "\n".join(parts)
    headers = {f"h{n}": sum(part.startswith("#" * n + " ") for part in parts) for n in range(1, 7)}
    steps, points, words = (sum(mark in part for part in parts) for mark in (". a step", "- **bold**", "__bold__"))
    return {
        "uid": question["uid"],
        "ans_id": f"{model}-{question['uid']}",
        "model": model,
        "messages": [
            {"role": "user", "content": question["prompt"]},
            {"role": "assistant", "content": {"answer": text}},
        ],
        "tstamp": 1.0,
        "metadata": {
            "token_len": len(text.split()),
            "header_count": headers,
            "list_count": {"ordered": steps, "unordered": points},
            "bold_count": {"**": points, "__": words},
        },
    }


def judgment(
    question: dict[str, str], model: str, answers: dict[str, list[dict[str, Any]]], draw: random.Random
) -> dict[str, Any]:
    baseline, _ = CATEGORIES[question["category"]]
    longer = {name: _length(answers[name], question["uid"]) for name in (model, baseline)}
    lead = (longer[model] - longer[baseline]) / (longer[model] + longer[baseline])
    games = []
    for sign in (1, -1):  # the model is B in the first game, and A in the second
        place = 2 + sign * (2 * lead + draw.gauss(0, 1.2))
        verdict = VERDICTS[min(4, max(0, round(place)))]
        games.append({"score": verdict, "judgment": {"answer": f"So: [[{verdict}]]"}, "prompt": []})
    return {
        "uid": question["uid"],
        "category": question["category"],
        "judge": JUDGE,
        "model": model,
        "baseline": baseline,
        "games": games,
    }


def _length(rows: list[dict[str, Any]], uid: str) -> int:
    (length,) = [row["metadata"]["token_len"] for row in rows if row["uid"] == uid]
    return int(length)


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
