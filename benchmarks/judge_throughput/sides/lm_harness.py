"""lm-eval's runner on a task of ours: a chat completion for each row, and its own filter that reads the score."""

import json
from pathlib import Path

from lm_eval import simple_evaluate
from lm_eval.models.openai_completions import LocalChatCompletion
from lm_eval.tasks import TaskManager

READS = {"function": "regex", "regex_pattern": r"Score: (\d)"}
TASK = {
    "task": "judge",
    "dataset_path": "json",
    "test_split": "test",
    "output_type": "generate_until",
    "doc_to_text": "Rate the answer from 0 to 5. End with 'Score: N'.\n\nQuestion: {{prompt}}\n\nAnswer: {{response}}",
    "doc_to_target": "4",
    "generation_kwargs": {"until": ["</s>"], "max_gen_toks": 256, "temperature": 0},
    "filter_list": [{"name": "score", "filter": [READS, {"function": "take_first"}]}],
    "metric_list": [{"metric": "exact_match"}],
}


def judge(rows: list[dict[str, str]], url: str, in_flight: int, out: Path) -> int:
    """Grade the answers, as many at a time as may be in flight."""
    file = out.with_suffix(".answers.jsonl").absolute()
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    task = TASK | {"dataset_kwargs": {"data_files": {"test": str(file)}}}
    model = LocalChatCompletion(f"{url}/chat/completions", model="m", num_concurrent=in_flight, eos_string="</s>")
    manager = TaskManager(include_defaults=False)  # else it reads the thousands that it comes with first
    found = simple_evaluate(model, tasks=[task], task_manager=manager, apply_chat_template=True, log_samples=True)
    out.with_suffix(".jsonl").write_text(json.dumps(found["samples"], default=str), encoding="utf-8")
    return sum(sample["filtered_resps"][0] != "[invalid]" for sample in found["samples"]["judge"])
