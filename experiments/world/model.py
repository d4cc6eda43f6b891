"""A small Llama-type model of this world, trained from scratch into an ordinary model folder.

It first reads instructions with right answers and then, from `mixed_from` on, with answers as people write them, one in
four right. It learns what right answers look like, but gives them only sometimes. It never sees a judge's prompt. The
loss is on the answers only, because the instructions are random.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from console.progress import progress
from experiments.world.sizes import ModelOptions
from experiments.world.world import DIGITS, LETTERS, WORDS, instructions, right, written
from records import Message

PAD, END, USER, ASSISTANT, UNKNOWN = SPECIAL = ["<|pad|>", "<|end|>", "<|user|>", "<|assistant|>", "<|unknown|>"]
CHAT_TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|> {{ m['content'] }} <|end|> {% endfor %}"
    "{% if add_generation_prompt %}<|assistant|> {% endif %}"
)
JUDGE_WORDS = "grade Score: <answer> </answer>"


def make_tokenizer() -> PreTrainedTokenizerBase:
    """Return the tokenizer of this world: one token per word, split at spaces."""
    words = [*SPECIAL, *DIGITS, *LETTERS, *WORDS.split(), *JUDGE_WORDS.split()]
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        unk_token=UNKNOWN,
        additional_special_tokens=[USER, ASSISTANT],
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def pretrain(folder: Path, options: ModelOptions, seed: int) -> None:
    """Train M0 from scratch and save it in `folder`, complete or not at all."""
    torch.manual_seed(seed)
    tokenizer = make_tokenizer()
    model = _new_model(options, tokenizer)
    rate, n_steps = options.learning_rate, options.steps
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=n_steps, pct_start=0.05)
    texts = instructions(f"pretraining {seed}")
    with progress("pretraining", n_steps) as advance:
        for step in range(n_steps):
            answered = written if step >= options.mixed_from * n_steps else right
            chats = _chats(list(islice(texts, options.batch_size)), answered, Random(f"{seed} {step}"))
            model(**_batch(chats, tokenizer)).loss.backward()
            clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            optimiser.zero_grad()
            advance(1)
    partial = folder.with_name(f"{folder.name}.tmp")  # renamed when complete: a folder that exists counts as trained
    shutil.rmtree(partial, ignore_errors=True)
    model.save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    partial.rename(folder)


def _chats(texts: Sequence[str], answered: Callable[[str, Random], str], random: Random) -> list[list[Message]]:
    return [
        [{"role": "user", "content": text}, {"role": "assistant", "content": answered(text, random)}] for text in texts
    ]


def _batch(chats: list[list[Message]], tokenizer: PreTrainedTokenizerBase) -> dict[str, Tensor]:
    """Return tokens, mask and labels, each (B, T). The labels are the answers with their end."""
    rendered = tokenizer.apply_chat_template(chats, tokenize=False)
    batch = tokenizer(rendered, padding=True, add_special_tokens=False, return_tensors="pt")
    tokens_BT, mask_BT = batch["input_ids"], batch["attention_mask"]
    opening = tokens_BT == tokenizer.convert_tokens_to_ids(ASSISTANT)
    # everything after the assistant's mark, up to the padding
    answer_BT = (opening.cumsum(1) > 0) & ~opening & mask_BT.bool()
    # -100 is the label that the loss ignores; the model shifts the labels itself
    return {"input_ids": tokens_BT, "attention_mask": mask_BT, "labels": tokens_BT.masked_fill(~answer_BT, -100)}


def _new_model(options: ModelOptions, tokenizer: PreTrainedTokenizerBase) -> Any:
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=options.hidden,
        intermediate_size=4 * options.hidden,
        num_hidden_layers=options.layers,
        num_attention_heads=options.heads,
        max_position_embeddings=options.context,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)
