"""alpaca-eval's comparison with a reference answer, in one order, through its threads on the openai SDK.

The SDK has the server's address from OPENAI_BASE_URL.
"""

from pathlib import Path

from alpaca_eval import evaluate

TEMPLATE = """<|im_start|>user
Which output answers the instruction better? Reply with 'Output (a)' or 'Output (b)'.

Instruction: {instruction}

Output (a): {output_1}

Output (b): {output_2}
<|im_end|>"""
CONFIG = """judge:
  prompt_template: judge/prompt.txt
  fn_completions: openai_completions
  completions_kwargs: {model_name: m, max_tokens: 256, temperature: 0, price_per_token: 0, num_procs: IN_FLIGHT}
  completion_parser_kwargs: {outputs_to_match: {1: 'Output \\(a\\)', 2: 'Output \\(b\\)'}}
  batch_size: 1
"""


def judge(rows: list[dict[str, str]], url: str, in_flight: int, out: Path) -> int:
    """Compare each answer with a short reference. It joins by instruction, so the instructions must differ."""
    folder = out / "judge"
    folder.mkdir(parents=True)
    (folder / "prompt.txt").write_text(TEMPLATE, encoding="utf-8")
    (folder / "configs.yaml").write_text(CONFIG.replace("IN_FLIGHT", str(in_flight)), encoding="utf-8")
    answers = [
        {"instruction": f"{row['prompt']} ({row['id']})", "output": row["response"], "generator": row["model"]}
        for row in rows
    ]
    references = [row | {"output": "I do not know.", "generator": "reference"} for row in answers]
    _, annotations = evaluate(
        answers,
        references,
        annotators_config=folder.absolute(),
        output_path=str(out),
        precomputed_leaderboard=None,
        fn_metric="get_winrate",
        sort_by="win_rate",
        is_return_instead_of_print=True,
    )
    return sum(one["preference"] in (1, 2) for one in annotations)
