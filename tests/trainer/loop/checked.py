"""A recipe whose judge checks the form of the answers: its scores cost no call."""

import json
from pathlib import Path

CONSTRAINTS = [
    {"kind": "keywords:letter_frequency", "kwargs": {"letter": "e", "let_relation": "at least", "let_frequency": 2}},
    {"kind": "keywords:letter_frequency", "kwargs": {"letter": "a", "let_relation": "less than", "let_frequency": 2}},
    {"kind": "punctuation:no_comma"},
]


def checked_recipe(folder: Path, base: Path) -> Path:
    """Write a recipe for the model `base`, and what it reads, to `folder`."""
    (folder / "ift.jsonl").write_text("".join(f'{{"prompt": "say {n}", "response": "point {n}"}}\n' for n in range(4)))
    rows = [{"id": str(n), "prompt": f"Write {n} words.", "constraints": CONSTRAINTS} for n in range(9)]
    (folder / "prompts.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    recipe = folder / "tiny.toml"
    recipe.write_text(
        f"""
        name = "tiny"
        iterations = 2
        [engine]
        model = "{base}"
        batch_size = 5
        [seeds]
        prompts = "{folder / "prompts.jsonl"}"
        ift = "{folder / "ift.jsonl"}"
        eft_limit = 2
        [candidates]
        prompts = 4
        n = 3
        max_new_tokens = 12
        temperature = 1.0
        [evidence]
        tool = "constraints"
        verify = "share"
        [pairs]
        evidence = "any"
        [sft]
        batch_size = 2
        [dpo]
        batch_size = 2
        [eval]
        prompts = 3
        """
    )
    return recipe
