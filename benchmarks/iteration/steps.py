"""One iteration as a plain script of steps, each a process that loads the model: generate, score, pairs, train.

This is what the other self-rewarding repositories do, without their inefficiencies: `generate` and the scores run in
batches (there mostly one by one), and steps that need no model load none. The trainer computes the reference as TRL
does by default, with a second copy that it loads itself. Each step imports only what it needs, because its whole
process is measured.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.iteration.work import Counts, Stage, Work, chat, dpo_settings, run_stage


def load(folder: str) -> tuple[Any, Any]:
    """Return the model and its tokenizer, with padding on the left."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval(), tokenizer


def generate(work: Work, folder: Path) -> Counts:
    """Write the answers to responses.jsonl."""
    import torch

    model, tokenizer = load(work.model)
    torch.manual_seed(work.seed)
    rows: list[dict[str, Any]] = []
    for prompts in batches(work.prompts, max(work.rows // work.n, 1)):
        texts = [tokenizer.apply_chat_template(chat(p), tokenize=False, add_generation_prompt=True) for p in prompts]
        inputs = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
        with torch.inference_mode():
            output = model.generate(
                **inputs,
                do_sample=True,
                temperature=work.temperature,
                top_p=work.top_p,
                top_k=0,
                min_new_tokens=work.new_tokens,
                max_new_tokens=work.new_tokens,
                num_return_sequences=work.n,
            )
        new = output[:, inputs["input_ids"].shape[1] :]
        for index, tokens in enumerate(new):
            answer = tokenizer.decode(tokens, skip_special_tokens=True)
            rows.append({"prompt": prompts[index // work.n], "response": answer, "n_tokens": len(tokens)})
    _write(folder / "responses.jsonl", rows)
    return {"tokens": sum(answered["n_tokens"] for answered in rows)}


def score(work: Work, folder: Path) -> Counts:
    """Add the judge's score to each answer, in scores.jsonl."""
    model, tokenizer = load(work.model)
    rows = _read(folder / "responses.jsonl")
    values = scores(model, tokenizer, work, [(answered["prompt"], answered["response"]) for answered in rows])
    _write(folder / "scores.jsonl", [answered | {"score": value} for answered, value in zip(rows, values, strict=True)])
    return {"judged": len(values)}


def scores(model: Any, tokenizer: Any, work: Work, answers: Sequence[tuple[str, str]]) -> list[float]:
    """Return the expected score of each (prompt, answer), from batched forward passes over the judge's prompts."""
    import torch

    from judges.rubrics.rendering import fill
    from judges.rubrics.rubric import load_rubric

    rubric = load_rubric(work.rubric)
    choices = rubric.logprobs.choices
    ids_C = torch.tensor([tokenizer.encode(choice, add_special_tokens=False)[0] for choice in choices])
    values_C = torch.tensor([float(choice) for choice in choices])
    chats = [fill(rubric, "logprobs", {"prompt": prompt, "response": answer}) for prompt, answer in answers]
    expected: list[float] = []
    for batch in batches(chats, work.rows):
        texts = [
            tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True) for messages in batch
        ]
        ended = [text + rubric.prefill(rubric.label) for text in texts]
        inputs = tokenizer(ended, return_tensors="pt", padding=True, padding_side="left", add_special_tokens=False)
        with torch.inference_mode():
            logits_BV = model(**inputs, logits_to_keep=1, use_cache=False).logits[:, -1]
        expected += (logits_BV[:, ids_C].softmax(-1) @ values_C).tolist()
    return expected


def pairs(work: Work, folder: Path) -> Counts:
    """Write the best answer to each prompt against the worst to pairs.jsonl."""
    rows = _read(folder / "scores.jsonl")
    preferences = []
    for start in range(0, len(rows), work.n):
        ranked = sorted(rows[start : start + work.n], key=lambda answered: float(answered["score"]))
        best, worst = ranked[-1], ranked[0]
        if best["score"] > worst["score"]:
            answers = {name: [{"role": "assistant", "content": answered["response"]}] for name, answered in
                       (("chosen", best), ("rejected", worst))}  # fmt: skip
            preferences.append({"prompt": chat(best["prompt"]), **answers})
    _write(folder / "pairs.jsonl", preferences)
    return {"pairs": len(preferences)}


def train(work: Work, folder: Path) -> Counts:
    """Train with TRL's defaults, which keep the reference as a second model in memory."""
    return {"steps": _train(work, folder, _read(folder / "pairs.jsonl"), precompute=False)}


def bare(work: Work, folder: Path) -> Counts:
    """Train on this project's pairs with a precomputed reference, which needs the least memory that TRL offers."""
    from benchmarks.iteration.project import pairs_file

    read = _read(pairs_file(folder.parent / "project"))
    rows = [{name: pair[name] for name in ("prompt", "chosen", "rejected")} for pair in read]
    return {"pairs": len(rows), "steps": _train(work, folder, rows, precompute=True)}


def _train(work: Work, folder: Path, rows: list[dict[str, Any]], *, precompute: bool) -> int:
    """Train and save. Return the number of optimiser steps."""
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    model, tokenizer = load(work.model)
    trainer = DPOTrainer(
        model=model,
        args=DPOConfig(
            **dpo_settings(work, folder),
            per_device_train_batch_size=work.micro_batch_size,
            gradient_accumulation_steps=work.batch_size // work.micro_batch_size,
            precompute_ref_log_probs=precompute,
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
    )
    steps = int(trainer.train().global_step)
    trainer.save_model(str(folder / "model"))
    return steps


def batches(things: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """Yield `things` in order, `size` at a time."""
    for start in range(0, len(things), size):
        yield things[start : start + size]


def _read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _write(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(record) + "\n" for record in rows))


STAGES: dict[str, Stage] = {"generate": generate, "score": score, "pairs": pairs, "train": train, "bare": bare}

if __name__ == "__main__":
    run_stage(STAGES)
