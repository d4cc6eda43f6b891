"""Which numbers of AlpacaEval are those of its leaderboards: by annotator and baseline."""

BASELINE_OF = {
    "weighted_alpaca_eval_gpt4_turbo": "gpt4_1106_preview",
    "claude_3_opus_ranking": "gpt4_1106_preview",
    "mistral-large-2402_ranking": "gpt4_1106_preview",
    "alpaca_eval_gpt4": "text_davinci_003",
}
"""The baseline of each annotator whose leaderboard has a length-controlled win rate."""
ALPACA_EVAL_2 = "weighted_alpaca_eval_gpt4_turbo"
"""The annotator of AlpacaEval 2."""


def has_length_control(annotator: str | None, baseline: str | None) -> bool:
    """Return whether a leaderboard has a length-controlled win rate by `annotator` against `baseline`."""
    return annotator is not None and BASELINE_OF.get(annotator) == baseline
