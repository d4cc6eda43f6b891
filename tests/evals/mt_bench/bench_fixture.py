"""Small files of judgments in FastChat's formats, made of nothing but a seed: scores of two models, pairs of three."""

import random
from typing import Any

CATEGORIES = ("writing", "math", "stem")
SCORED_MODELS, PAIRED_MODELS = ("alpha", "beta"), ("alpha", "beta", "gamma")
IDS = range(81, 93)


def category_of(question_id: int) -> str:
    return CATEGORIES[(question_id - 81) // 4]


def scored_rows() -> list[dict[str, Any]]:
    """Return scores of 12 questions with two turns, four of them -1 and one on half a point."""
    draw = random.Random(3)
    rows = []
    for model in SCORED_MODELS:
        for question_id in IDS:
            for turn in (1, 2):
                score: float = draw.randint(1, 10) if model == "alpha" else draw.randint(3, 8)
                score = -1 if (question_id, turn) in ((82, 2), (90, 1)) else score
                score = 7.5 if (model, question_id, turn) == ("beta", 85, 1) else score
                name = f"single{'-math' if category_of(question_id) == 'math' else ''}-v1"
                rows.append(
                    {
                        "question_id": question_id,
                        "model": model,
                        "judge": ["gpt-4", name if turn == 1 else f"{name}-multi-turn"],
                        "user_prompt": "...",
                        "judgment": f"Rating: [[{score}]]",
                        "score": score,
                        "turn": turn,
                        "tstamp": 1.0,
                    }
                )
    return rows


def pair_rows() -> list[dict[str, Any]]:
    """Return the games of every two of three models on 12 questions with two turns, some of them errors."""
    draw = random.Random(4)
    winners = ("model_1", "model_1", "model_2", "tie")
    rows = []
    for model_1, model_2 in (("alpha", "beta"), ("alpha", "gamma"), ("beta", "gamma")):
        for question_id in IDS:
            for turn in (1, 2):
                first, second = draw.choice(winners), draw.choice(winners)
                rows.append(
                    {
                        "question_id": question_id,
                        "model_1": model_1,
                        "model_2": model_2,
                        "g1_winner": "error" if draw.random() < 0.05 else first,
                        "g2_winner": first if draw.random() < 0.5 else second,
                        "judge": ["gpt-4", "pair-v2" if turn == 1 else "pair-v2-multi-turn"],
                        "g1_user_prompt": "...",
                        "g1_judgment": "...",
                        "g2_user_prompt": "...",
                        "g2_judgment": "...",
                        "turn": turn,
                        "tstamp": 1.0,
                    }
                )
    return rows
